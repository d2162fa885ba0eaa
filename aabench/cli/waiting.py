"""Waiting: a sign of life on standard error while something takes seconds; on a terminal only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aabench.cli.error_console import error_console


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show what is being done until the block is left."""
    console = error_console()
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield
