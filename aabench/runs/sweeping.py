"""Sweeping: measuring a grid into a run folder, from the first case or from where it was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from aabench.errors import UsageError
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.due_tasks import DueTasks, Predicted
from aabench.runs.executor import Executor
from aabench.runs.folder import Manifest, RunFolder
from aabench.runs.ledger import Ledger
from aabench.runs.lock import FolderLock
from aabench.runs.place import Place
from aabench.runs.places_choice import check_one_choice
from aabench.runs.plan import Plan
from aabench.runs.pooling import pooled_figures
from aabench.runs.predicting import target_of
from aabench.runs.prediction import closed_form_figures, counts_remark
from aabench.runs.request import Request
from aabench.runs.run_environment import check_same_software, settle_environment
from aabench.runs.settings import RunSettings
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

    def lost(self, place: str, reason: str) -> None:
        """A place is gone; what it was doing runs elsewhere."""
        ...

    def message(self, text: str) -> None:
        """Something that whoever watches should know."""
        ...


class Unobserved:
    """The observer of somebody who does not look."""

    def planned(self, tasks: int, done: int) -> None:
        """Nothing to do."""

    def started(self, task: Task) -> None:
        """Nothing to do."""

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Nothing to do."""

    def lost(self, place: str, reason: str) -> None:
        """Nothing to do."""

    def message(self, text: str) -> None:
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
        self._places: dict[str, Place] = {}
        self._predicted: dict[DeviceFacts, Predicted] = {}
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
            self._executor.places()  # a device that is not there is said before a folder is made
            make_folder(path)
        with FolderLock(path):
            places = self._executor.places()
            plan = self._planned(places)
            if self._request.again:
                self._folder.discard()
            self._prepare_manifest()
            settle_environment(self._folder, places)
            self.has_begun = True
            for record in self._folder.records():
                self._ledger.enter(record)
            return self._measure(plan, places)

    def _planned(self, places: Sequence[Place]) -> Plan:
        """The plan for some places; what is wrong with any of it is found before anything is written."""
        grid = self._request.grid
        check_same_software(places)
        check_one_choice(grid, places)
        plan = Plan.of(grid, places[0].facts)
        for place in places:
            self._places[place.label] = place
            model = _model(place)
            if model not in self._predicted:
                self._predicted[model] = closed_form_figures(plan.cases, target_of(place.facts))
        return plan

    def _prepare_manifest(self) -> None:
        from aabench import __version__

        request = self._request
        if not self._folder.exists:
            self._folder.create(Manifest(request.name, request.grid, request.settings, __version__))
            return
        check_same_run(self._folder.manifest(), request)

    def _measure(self, plan: Plan, places: Sequence[Place]) -> bool:
        settings = self._request.settings
        tasks = DueTasks(
            plan,
            settings,
            self._ledger,
            retry=self._request.retry,
            predicted=self._predicted_at,
            observer=self._observer,
        )
        due, total = tasks.count(), len(plan.cases) * settings.rounds
        self._observer.planned(total, total - due)
        if not due:
            return False
        tasks.open(places)
        for task, outcome in self._executor.run(tasks, self._observer.started):
            self._store(task, outcome)
        return True

    def _predicted_at(self, place: Place) -> Predicted:
        return self._predicted[_model(place)]

    def _store(self, task: Task, outcome: Outcome) -> None:
        """Put an outcome on disk, with what was predicted and what all rounds say together."""
        key, place = task.case.key, self._places[task.where]
        figures = {**outcome.figures, "device_name": place.kind}
        remarks: list[str] = []
        if task.round == 0:
            figures = {**self._predicted_at(place).get(key, {}), **figures}
            figures["counts_remark"] = counts_remark(task.case, figures)
        if outcome.samples_s:
            earlier = self._earlier_samples(key, task.round)
            pooled, remarks = pooled_figures(task.case, figures, [*earlier, outcome.samples_s])
            figures |= pooled
            remarks += self._remarks_on_places(task)
        # Code under test may raise text of any shape; a row of a CSV is one line.
        reason = None if outcome.reason is None else " ".join(outcome.reason.split())
        stored = replace(outcome, reason=reason, figures=figures, sample_warnings=remarks)
        self._ledger.enter(self._folder.append(task, stored))
        self._observer.finished(task, stored)

    def _remarks_on_places(self, task: Task) -> list[str]:
        """What to say of a case that a place was lost with: its rounds ran on different devices."""
        others = [name for name in self._ledger.devices(task.case.key) if name != task.where]
        if not others or not self._ledger.earlier_samples(task.case.key, task.round):
            return []
        where = " and ".join([*others, task.where])
        return [f"its rounds ran on {where} — --again measures them on one device"]

    def _earlier_samples(self, key: str, round_number: int) -> list[list[float]]:
        places = self._ledger.earlier_samples(key, round_number)
        return [samples for place in places if (samples := self._folder.samples(place))]


def _model(place: Place) -> DeviceFacts:
    """What predictions depend on: the device's model, not its number."""
    return replace(place.facts, device=place.facts.type)


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
