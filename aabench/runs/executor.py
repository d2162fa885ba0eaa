"""The executor: the one small interface through which tasks are run, and its single-worker form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from aabench.runs.settings import RunSettings
from aabench.runs.task import Outcome, Task
from aabench.runs.worker_process import WorkerProcess

TASKS_PER_WORKER = 50
"""A worker is replaced after this many tasks, so that what one leaks or fragments cannot add up."""


class Executor(Protocol):
    """Runs tasks and hands back what became of each, in whatever order they finish."""

    def greeting(self) -> dict[str, Any]:
        """Device facts and environment of where the tasks will run."""
        ...

    def run(
        self, tasks: Iterable[Task], started: Callable[[Task], None]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Run tasks, taken one by one when there is room for them."""
        ...

    def close(self) -> None:
        """End all workers, now."""
        ...


class OneWorker:
    """One task after another in one worker process, replaced whenever it is no longer to be trusted.

    Args:
        settings: of the run.
        outside_code: ``package.module:attribute`` targets that its cases name.
    """

    def __init__(self, settings: RunSettings, outside_code: Sequence[str] = ()) -> None:
        self._settings = settings
        self._outside_code = outside_code
        self._worker: WorkerProcess | None = None

    def greeting(self) -> dict[str, Any]:
        """Device facts and environment, from the worker itself."""
        return self._ready_worker().greeting

    def run(
        self, tasks: Iterable[Task], started: Callable[[Task], None]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Run the tasks in order."""
        for task in tasks:
            started(task)
            worker = self._ready_worker()
            outcome = worker.run(task, self._settings.timeout)
            if outcome.tainted:
                self.close()
            elif self._settings.isolate or worker.tasks_done >= TASKS_PER_WORKER:
                worker.close()
                self._worker = None
            yield task, outcome

    def close(self) -> None:
        """Kill the worker, whatever it is doing."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _ready_worker(self) -> WorkerProcess:
        if self._worker is not None and not self._worker.alive:
            self.close()  # it died between two tasks: neither of them is to blame
        if self._worker is None:
            self._worker = WorkerProcess(self._settings.device, self._outside_code)
        return self._worker
