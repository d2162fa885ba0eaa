"""Dispatch: handing tasks to whichever place is free, and outlasting places that are lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Protocol

from aabench.errors import AabenchError, RunError
from aabench.runs.place import Place
from aabench.runs.task import Outcome, Task

MOST_LOSSES = 2
"""A task that was lost with its place this often is what took the places down."""

REVIVAL_SECONDS = 60.0
"""Where all places are lost, one of them has this long to come back."""


class Tasks(Protocol):
    """Where tasks come from."""

    def take(self, place: Place) -> Task | None:
        """The next task for a place that is free; None if there is nothing for it at this time."""
        ...

    def lose(self, place: Place, reason: str) -> None:
        """A place is gone, and what it was doing is not done."""
        ...

    def regain(self, place: Place) -> None:
        """A place that was lost is back."""
        ...


class Station(Protocol):
    """A place with somebody in it who runs tasks."""

    @property
    def place(self) -> Place:
        """Where it is."""
        ...

    def submit(self, task: Task) -> Future[Outcome]:
        """Run a task; one at a time. The future's error says that the place is lost."""
        ...

    def revive(self) -> Future[Any] | None:
        """Man a lost place again; None where that cannot be. The future's error says it did not work."""
        ...


def dispatch(
    stations: Sequence[Station], tasks: Tasks, started: Callable[[Task], None]
) -> Iterator[tuple[Task, Outcome]]:
    """Keep every station busy as long as there are tasks for it, and hand back what becomes of them.

    What was running at a place that is lost runs again elsewhere, and that is no other attempt.

    Raises:
        RunError: all places are lost.
    """
    shift = _Shift(stations, tasks, started)
    shift.hand_out()
    while shift.is_waited_for:
        patience = None if shift.is_busy else REVIVAL_SECONDS
        done, _ = wait(shift.running, timeout=patience, return_when=FIRST_COMPLETED)
        if not done:
            break
        for future in done:
            yield from shift.take_in(future)
        shift.hand_out()
    if not shift.idle:
        raise RunError(
            f"every place is lost: {shift.last_words}. What was measured is kept; give the same command "
            "to go on"
        )


class _Shift:
    """Who is idle, who runs what, and what was lost so far."""

    def __init__(
        self, stations: Sequence[Station], tasks: Tasks, started: Callable[[Task], None]
    ) -> None:
        self._tasks, self._started = tasks, started
        self._losses: Counter[tuple[str, int]] = Counter()
        self.idle = list(stations)
        self.running: dict[Future[Any], tuple[Station, Task | None]] = {}
        self.last_words = ""

    @property
    def is_busy(self) -> bool:
        """Whether a task is running."""
        return any(task is not None for _, task in self.running.values())

    @property
    def is_waited_for(self) -> bool:
        """Whether a task is running, or all places are lost and one may come back."""
        return self.is_busy or (bool(self.running) and not self.idle)

    def hand_out(self) -> None:
        """Give every idle station a task if there is one for it."""
        for station in list(self.idle):
            task = self._tasks.take(station.place)
            if task is not None:
                self.idle.remove(station)
                self._started(task)
                self.running[station.submit(task)] = station, task

    def take_in(self, future: Future[Any]) -> Iterator[tuple[Task, Outcome]]:
        """What has come of one thing that was running."""
        station, task = self.running.pop(future)
        error = future.exception()
        if error is not None:
            yield from self._lost(station, task, error)
            return
        self.idle.append(station)
        if task is None:
            self._tasks.regain(station.place)
        else:
            yield task, future.result()

    def _lost(
        self, station: Station, task: Task | None, error: BaseException
    ) -> Iterator[tuple[Task, Outcome]]:
        """A place that is gone, or that could not be manned again."""
        if not isinstance(error, AabenchError):
            raise error
        if task is None:
            return
        self.last_words = str(error)
        self._tasks.lose(station.place, self.last_words)
        revival = station.revive()
        if revival is not None:
            self.running[revival] = station, None
        name = task.case.key, task.round
        self._losses[name] += 1
        if self._losses[name] >= MOST_LOSSES:
            reason = f"lost with its place {MOST_LOSSES} times: {self.last_words}"
            yield task, Outcome("crashed", reason, device=task.where)
