"""Work on several cores whose results come in the order of what they are of, a few at a time."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from aabench.errors import RunError

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING_PER_JOB = 2
"""Results that may wait for an earlier one, for each process: what bounds the memory."""


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Iterator[Result]:
    """Apply a function to items in several processes, and give its results in the items' order.

    At most ``WAITING_PER_JOB * jobs`` items are taken ahead of the result that is asked for.

    Args:
        function: of a module's top level, or a ``functools.partial`` of one, so that it can be sent.
        items: what it is applied to, taken one by one.
        jobs: processes; with 1 it all happens in this one.

    Raises:
        RunError: a process was ended from outside.
    """
    if jobs == 1:
        yield from map(function, items)
        return
    # Not forked: this process may hold threads, and libraries that do not survive it.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare)
    try:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= WAITING_PER_JOB * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunError(
            "a process that predicts was ended from outside, perhaps for lack of memory; give fewer --jobs"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Neighbouring items together, so that what they share is made once."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _prepare() -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, name="lifeline", daemon=True).start()
