"""The event tree: what torch's profiler saw of one call, each operator above those that it called."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch.autograd.profiler import profile

SILENT = "6"
"""The Kineto log level above all of its messages; else each profile writes lines to standard error."""


def profiled_events(call: Callable[[], object], *, memory: bool = False) -> Iterator[Any]:
    """Make a call, and give every event of it on the CPU's side, each parent before its children.

    Shapes and stacks are not recorded, since those would keep tensors alive or cost time.

    Args:
        call: what to listen to.
        memory: whether the allocator's events are wanted too.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", SILENT)
    with profile(profile_memory=memory) as session:
        call()
    results: Any = session.kineto_results
    return _descended(results.experimental_event_tree())


def _descended(roots: Iterable[Any]) -> Iterator[Any]:
    """Every node of a forest, in order of time."""
    waiting = list(reversed(list(roots)))
    while waiting:
        node = waiting.pop()
        waiting.extend(reversed(node.children))
        yield node
