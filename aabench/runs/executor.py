"""The executor: the one small interface through which tasks are run, and its single-worker form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from aabench.runs.dispatch import Tasks
from aabench.runs.place import Place
from aabench.runs.post import Post
from aabench.runs.settings import RunSettings
from aabench.runs.task import Outcome, Task


class Executor(Protocol):
    """Runs tasks and hands back what became of each, in whatever order they finish."""

    def places(self) -> Sequence[Place]:
        """Where the tasks will run; at least one place."""
        ...

    def run(self, tasks: Tasks, started: Callable[[Task], None]) -> Iterator[tuple[Task, Outcome]]:
        """Run tasks, taken one by one when a place is free."""
        ...

    def close(self) -> None:
        """End all workers, now."""
        ...


class InOrder:
    """Tasks that any place may run, in the order in which they come."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)

    def take(self, place: Place) -> Task | None:
        """The next one."""
        return next(self._tasks, None)

    def lose(self, place: Place, reason: str) -> None:
        """What was lost with a place is left out."""

    def regain(self, place: Place) -> None:
        """Nothing to do: all places are alike."""


class OneWorker:
    """One task after another in one worker process, replaced whenever it is no longer to be trusted.

    Args:
        settings: of the run.
        outside_code: ``package.module:attribute`` targets that its cases name.
    """

    def __init__(self, settings: RunSettings, outside_code: Sequence[str] = ()) -> None:
        self._post = Post(settings, settings.device, outside_code)
        self._place: Place | None = None

    def greeting(self) -> dict[str, Any]:
        """Device facts and environment, from the worker itself."""
        return self._post.greeting()

    def places(self) -> Sequence[Place]:
        """The one place there is."""
        if self._place is None:
            self._place = Place.of_greeting(self.greeting())
        return (self._place,)

    def run(self, tasks: Tasks, started: Callable[[Task], None]) -> Iterator[tuple[Task, Outcome]]:
        """Run the tasks in order."""
        (place,) = self.places()
        while (task := tasks.take(place)) is not None:
            started(task)
            yield task, self._post.run(task)

    def close(self) -> None:
        """Kill the worker, whatever it is doing."""
        self._post.close()
