"""Python's cyclic garbage collector, kept from running in the middle of a measurement."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep the collector off inside the block, and leave it as it was found."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def collect_recent() -> None:
    """Free the cycles made since the last call: cheap enough to do between samples.

    Without it a step whose graph holds a reference cycle would keep the tensors of every run alive
    until the end of the measurement, and run out of memory only because it was being timed.
    """
    gc.collect(0)
