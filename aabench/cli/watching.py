"""Watching a sweep: what its observer hears becomes progress on standard error."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from aabench.cli.error_console import error_console
from aabench.report.progress import SweepProgress
from aabench.runs.case_text import case_text
from aabench.runs.door import measure
from aabench.runs.request import Request
from aabench.runs.task import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


class ProgressObserver:
    """Draws what a sweep reports.

    Args:
        console: where to.
        title: of the bar.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._bar: SweepProgress | None = None

    def planned(self, tasks: int, done: int) -> None:
        """Start the bar, or say that there is nothing left to do."""
        if done == tasks:
            self._console.print(f"{self._title}: already complete; --again measures anew")
            return
        if done:
            self._console.print(f"{self._title}: going on after {done} of {tasks} rounds of cases")
        self._bar = SweepProgress(self._console, tasks - done, self._title)
        self._bar.__enter__()

    def started(self, task: Task) -> None:
        """Show what is running."""
        if self._bar is not None:
            self._bar.started(case_text(task.case), task.place)

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Count it, and name it if it failed."""
        if self._bar is not None:
            self._bar.finished(outcome.status, outcome.reason, task.place)

    def lost(self, place: str, reason: str) -> None:
        """Say which place is gone, and why."""
        if self._bar is not None:
            self._bar.left(place)
        self.message(f"{place} is lost, and its case runs elsewhere: {reason}")

    def message(self, text: str) -> None:
        """Say something beside the progress."""
        if self._bar is not None:
            self._bar.message(text)
        else:
            self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def close(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def watched_sweep(request: Request) -> pd.DataFrame:
    """Run a request under a progress bar.

    After a first Ctrl-C the folder is being put in order; a second one is ignored until that is done.
    """
    observer = ProgressObserver(error_console(), request.name)
    with _one_interrupt():
        try:
            return measure(request, observer)
        finally:
            observer.close()


@contextmanager
def _one_interrupt() -> Iterator[None]:
    def once(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
