"""Sweeping: measuring a grid into a run folder, from the first case or from where it was left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from aabench.errors import UsageError
from aabench.measuring.comparability import environment_differences
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.executor import Executor
from aabench.runs.folder import Manifest, RunFolder
from aabench.runs.ledger import Ledger
from aabench.runs.lock import FolderLock
from aabench.runs.plan import Plan
from aabench.runs.pooling import pooled_figures
from aabench.runs.predicting import target_of
from aabench.runs.prediction import closed_form_figures, counts_remark
from aabench.runs.request import Request
from aabench.runs.settings import RunSettings
from aabench.runs.skipping import too_large_here
from aabench.runs.task import Outcome, Task


class Observer(Protocol):
    """Is told how a sweep goes on; the command line draws progress from it."""

    def planned(self, tasks: int, done: int) -> None:
        """The plan stands: so many rounds of cases in all, so many done earlier."""
        ...

    def started(self, task: Task) -> None:
        """A task was handed to a worker."""
        ...

    def finished(self, task: Task, outcome: Outcome) -> None:
        """A task's outcome is on disk."""
        ...


class Unobserved:
    """The observer of somebody who does not look."""

    def planned(self, tasks: int, done: int) -> None:
        """Nothing to do."""

    def started(self, task: Task) -> None:
        """Nothing to do."""

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Nothing to do."""


class Sweep:
    """One sweep in progress.

    Args:
        request: what was asked for.
        executor: where its tasks run.
        observer: who is told.
    """

    def __init__(self, request: Request, executor: Executor, observer: Observer) -> None:
        self._request = request
        self._executor = executor
        self._observer = observer
        self._folder = RunFolder(request.folder)
        self._ledger = Ledger()
        self._predicted: dict[str, dict[str, Any]] = {}
        self.has_begun = False

    def run(self) -> bool:
        """Measure what is still to be measured; everything is on disk when this returns.

        Returns:
            Whether anything was measured; False where the run was complete already.

        Raises:
            UsageError: the folder holds another run, or this machine is not the one it began on.
            RunError: the run itself cannot go on.
        """
        path = self._request.folder
        check_folder(self._request)
        if not path.is_dir():
            self._executor.greeting()  # a device that is not there is said before a folder is made
            make_folder(path)
        with FolderLock(path):
            greeting = self._executor.greeting()
            facts = DeviceFacts.from_dict(greeting["device"])
            plan = Plan.of(self._request.grid, facts)
            # Sizes that overflow are found here, before anything is written.
            self._predicted = closed_form_figures(plan.cases, target_of(facts))
            if self._request.again:
                self._folder.discard()
            self._prepare_manifest()
            self._check_environment(greeting)
            self.has_begun = True
            for record in self._folder.records():
                self._ledger.enter(record)
            return self._measure(plan, facts)

    def _prepare_manifest(self) -> None:
        from aabench import __version__

        request = self._request
        if not self._folder.exists:
            self._folder.create(Manifest(request.name, request.grid, request.settings, __version__))
            return
        check_same_run(self._folder.manifest(), request)

    def _check_environment(self, greeting: dict[str, Any]) -> None:
        environment = {"device": greeting["device"], **greeting["environment"]}
        stored = self._folder.environment()
        if stored is None:
            self._folder.write_environment(environment)
            return
        differences = environment_differences(stored, environment)
        if differences:
            raise UsageError(
                f"{self._folder.path} was begun in another environment",
                got="; ".join(differences[:6]),
                instead="give another --out folder, or --again to start anew",
            )

    def _measure(self, plan: Plan, facts: DeviceFacts) -> bool:
        rounds = self._request.settings.rounds
        due = sum(self._is_due(key, number) for key in plan.cases for number in range(rounds))
        total = len(plan.cases) * rounds
        self._observer.planned(total, total - due)
        if not due:
            return False
        for task, outcome in self._executor.run(self._tasks(plan, facts), self._observer.started):
            self._store(task, outcome)
        return True

    def _is_due(self, key: str, round_number: int) -> bool:
        return self._ledger.is_due(key, round_number, retry=self._request.retry)

    def _tasks(self, plan: Plan, facts: DeviceFacts) -> Iterator[Task]:
        """What to measure next; a case that failed in an earlier round is not tried again."""
        settings = self._request.settings
        for number in range(settings.rounds):
            for key, case in plan.order(settings.seed, number):
                if not self._is_due(key, number):
                    continue
                task = Task(
                    case=case,
                    round=number,
                    device=facts.device,
                    seconds=settings.seconds_per_round(facts.type),
                    enough_samples=settings.samples_per_round,
                    seed=settings.seed,
                    attempt=self._ledger.attempt(key, number),
                )
                reason = self._too_large(key, facts)
                if reason is None:
                    yield task
                else:
                    self._store(task, Outcome("skipped", reason, device=facts.device))

    def _too_large(self, key: str, facts: DeviceFacts) -> str | None:
        """Why a CPU case must not run here: a CUDA card refuses by itself, a host starts swapping."""
        needed = self._predicted.get(key, {}).get("predicted_peak_bytes")
        if facts.type != "cpu" or needed is None:
            return None
        return too_large_here(needed)

    def _store(self, task: Task, outcome: Outcome) -> None:
        """Put an outcome on disk, with what was predicted and what all rounds say together."""
        key = task.case.key
        figures = dict(outcome.figures)
        remarks: list[str] = []
        if task.round == 0:
            figures = {**self._predicted.get(key, {}), **figures}
            figures["counts_remark"] = counts_remark(task.case, figures)
        if outcome.samples_s:
            earlier = self._earlier_samples(key, task.round)
            pooled, remarks = pooled_figures(task.case, figures, [*earlier, outcome.samples_s])
            figures |= pooled
        # Code under test may raise text of any shape; a row of a CSV is one line.
        reason = None if outcome.reason is None else " ".join(outcome.reason.split())
        stored = replace(outcome, reason=reason, figures=figures, sample_warnings=remarks)
        self._ledger.enter(self._folder.append(task, stored))
        self._observer.finished(task, stored)

    def _earlier_samples(self, key: str, round_number: int) -> list[list[float]]:
        places = self._ledger.earlier_samples(key, round_number)
        return [samples for place in places if (samples := self._folder.samples(place))]


def check_folder(request: Request) -> None:
    """Refuse a folder that cannot be this run's before anything is started or written.

    Raises:
        UsageError: a file, other things, or another grid's run.
    """
    folder = RunFolder(request.folder)
    if folder.exists and not request.again:
        check_same_run(folder.manifest(), request)
    else:
        folder.check_target()


def make_folder(path: Path) -> None:
    """Make the folder of a run.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder {path} cannot be made: {error.strerror}",
            instead="give another --out folder",
        ) from error


def check_same_run(manifest: Manifest, request: Request) -> None:
    """Refuse to mix two runs in one folder.

    Raises:
        UsageError: the folder's grid or settings are not the request's.
    """
    folder = request.folder
    if manifest.predicted_for is not None:
        raise UsageError(
            f"{folder} holds a prediction, for {manifest.predicted_for}",
            instead="give another --out folder, or --again to put it aside",
        )
    if manifest.grid != request.grid:
        differing = [
            name
            for name in {**manifest.grid.axes, **request.grid.axes}
            if manifest.grid.axes.get(name) != request.grid.axes.get(name)
        ]
        raise UsageError(
            f"{folder} holds the run of another grid",
            got=f"another {', '.join(differing) or 'floor on the key depth'}",
            instead="give another --out folder, or --again to put that run aside",
        )
    if manifest.settings != request.settings:
        raise UsageError(
            f"{folder} holds a run with other settings",
            got=_differing_settings(manifest.settings, request.settings),
            instead="give the same settings, another --out folder, or --again to start anew",
        )


def _differing_settings(stored: RunSettings, asked: RunSettings) -> str:
    theirs, ours = stored.to_dict(), asked.to_dict()
    return ", ".join(
        f"{name} {ours[name]} (there: {theirs[name]})"
        for name in ours
        if ours[name] != theirs[name]
    )
