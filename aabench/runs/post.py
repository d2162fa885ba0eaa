"""The post: one device manned by a worker process, which is replaced once it is not to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aabench.errors import RunError
from aabench.runs.settings import RunSettings
from aabench.runs.skipping import too_large_here
from aabench.runs.task import Outcome, Task
from aabench.runs.worker_process import WorkerProcess

TASKS_PER_WORKER = 50
"""A worker is replaced after this many tasks, so that what one leaks or fragments cannot add up."""


class Post:
    """Runs one task after another in a worker process on this machine.

    To be used from one thread, except ``stop``: the kernel ends a worker with the thread that started it.

    Args:
        settings: of the run.
        device: what the worker is to describe in its greeting, ``auto`` included.
        outside_code: ``package.module:attribute`` targets that the cases name.
    """

    def __init__(
        self, settings: RunSettings, device: str, outside_code: Sequence[str] = ()
    ) -> None:
        self._settings, self._device, self._outside_code = settings, device, outside_code
        self._is_stopped = False
        self.worker: WorkerProcess | None = None

    def greeting(self) -> dict[str, Any]:
        """Device facts and environment, from the worker itself."""
        return self._ready_worker().greeting

    def run(self, task: Task) -> Outcome:
        """Measure one task; whatever happens to the worker becomes the outcome.

        Raises:
            RunError: no worker can be started any more, or the post was stopped.
            UsageError: the device is no longer there.
        """
        reason = too_large_here(task.needed_bytes) if task.needed_bytes is not None else None
        if reason is not None:
            return Outcome("skipped", reason, device=task.where)
        worker = self._ready_worker()
        outcome = worker.run(task, self._settings.timeout)
        if self._is_stopped:
            raise RunError("the worker was stopped")
        if outcome.tainted:
            self.close()
        elif self._settings.isolate or worker.tasks_done >= TASKS_PER_WORKER:
            worker.close()
            self.worker = None
        return outcome

    def stop(self) -> None:
        """End what is running, from any thread; nothing runs here afterwards."""
        self._is_stopped = True
        if self.worker is not None:
            self.worker.interrupt()

    def close(self) -> None:
        """Kill the worker, whatever it is doing."""
        if self.worker is not None:
            self.worker.kill()
            self.worker = None

    def _ready_worker(self) -> WorkerProcess:
        if self.worker is not None and not self.worker.alive:
            self.close()  # it died between two tasks: neither of them is to blame
        if self._is_stopped:
            raise RunError("the worker was stopped")
        if self.worker is None:
            self.worker = WorkerProcess(self._device, self._outside_code)
            if self._is_stopped:  # while it started: there was no worker yet to end
                raise RunError("the worker was stopped")
        return self.worker
