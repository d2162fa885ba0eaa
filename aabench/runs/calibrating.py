"""Calibrating: the ceilings of a device and a small set of cases, measured within a given time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Protocol

import torch

from aabench.cases.case import Case, Layer
from aabench.cases.ceilings import Ceilings
from aabench.cost.calibration import Calibration, MeasuredCase
from aabench.measuring.calibration.ceilings import Sizes, measure_ceilings
from aabench.measuring.cuda_device import CudaDevice
from aabench.runs.executor import InOrder, OneWorker
from aabench.runs.settings import RunSettings
from aabench.runs.task import Outcome, Task

CEILINGS_SHARE = 0.1
"""Share of the time that goes to the ceilings."""

CASE_SHARE = 0.005
"""Share of the time that one case's sampling takes; building and checking it come on top."""

MODES = ("infer", "train")
PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32", "bf16", "fp16", "amp-bf16")}

EAGER = ("materialized", "broadcast", "sdpa-bias", "factored", "blocked")
FORMS = {"cpu": EAGER, "cuda": (*EAGER, "flex", "triton")}
"""By device type; on the CPU nothing that has to be compiled first."""

TIMEOUT_S = 120.0
"""A case that takes longer than this says nothing that is worth the time."""


class Observer(Protocol):
    """Who is told how far a calibration has come."""

    def ceiling(self, text: str) -> None:
        """A ceiling is measured next."""

    def planned(self, cases: int) -> None:
        """So many cases there are; not all of them may be measured within the time."""

    def started(self, case: Case) -> None:
        """A case is measured next."""

    def finished(self, case: Case, outcome: Outcome) -> None:
        """A case was measured, or was not."""

    def interrupted(self) -> None:
        """Ctrl-C was pressed; what was measured until then is kept."""


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """What a calibration is to measure.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        seconds: for all of it. Ceilings and at least one case are measured in any case.
        largest_side: the largest height and width of a case's input.
        sizes: of the ceilings' samples; None for those of the device's type.
    """

    device: str
    seconds: float
    largest_side: int = 32
    sizes: Sizes | None = None


def calibrate(
    plan: CalibrationPlan, observer: Observer, clock: Callable[[], float] = time.monotonic
) -> Calibration:
    """Measure ceilings, then cases until the time is up; Ctrl-C between cases ends it early as well.

    Cases come in rounds, one of each form, mode and precision in every round, so that a calibration
    that is cut short still knows something of all of them.

    Raises:
        UsageError: no such device.
        KeyboardInterrupt: before any case was measured.
    """
    end = clock() + plan.seconds
    executor = OneWorker(RunSettings(device=plan.device, timeout=TIMEOUT_S))
    try:
        greeting = executor.greeting()
        device, environment = greeting["device"], greeting["environment"]
        when = datetime.now(UTC).isoformat(timespec="seconds")
        source = f"measured on {device['name']}, {when[:10]}"
        ceilings = _ceilings(torch.device(device["device"]), plan, source, observer)
        tasks = _tasks(plan, device["device"])
        cases = _measured(executor, tasks, observer, lambda: clock() < end)
    finally:
        executor.close()
    return Calibration(
        device_type=torch.device(device["device"]).type,
        device_name=device["name"],
        threads=environment["torch_threads"],
        torch=environment["torch"],
        date=when,
        ceilings=ceilings,
        cases=cases,
    )


def calibration_cases(device_type: str, largest_side: int) -> list[Case]:
    """The cases of a calibration in the order of measuring, every group once per round.

    Shapes are those of the published networks' layers, from cheap to dear, as far as they are no
    larger than asked for.
    """
    shapes = [
        Layer(64, 64, 3, 1, 1, 4, 32, 16, "relative", 14, 14),
        Layer(160, 160, 3, 1, 1, 8, 160, 16, "relative", 16, 16),
        Layer(128, 96, 3, 2, 1, 2, 40, 24, "relative", 28, 28),
        Layer(256, 256, 3, 1, 1, 8, 64, 64, "relative", 14, 14),
        Layer(32, 48, 3, 1, 1, 4, 16, 8, "relative", 28, 28),
        Layer(64, 128, 3, 1, 1, 4, 80, 32, "none", 20, 20),
        Layer(160, 160, 3, 1, 1, 8, 160, 16, "relative", 32, 32),
    ]
    batches = (4, 2, 4, 2, 8, 1, 1)
    rounds = [
        (shape, batch)
        for shape, batch in zip(shapes, batches, strict=True)
        if max(shape.height, shape.width) <= largest_side
    ]
    return [
        Case(shape, batch, mode, precision, form).canonical()
        for shape, batch in rounds
        for mode in MODES
        for precision in PRECISIONS[device_type]
        for form in FORMS[device_type]
    ]


def _ceilings(
    device: torch.device, plan: CalibrationPlan, source: str, observer: Observer
) -> Ceilings:
    on_cuda = device.type == "cuda"
    figures = 2 + len(PRECISIONS[device.type])
    return measure_ceilings(
        device,
        seconds=CEILINGS_SHARE * plan.seconds / figures,
        source=source,
        synchronize=CudaDevice(device).synchronize if on_cuda else lambda: None,
        sizes=plan.sizes,
        started=observer.ceiling,
    )


def _tasks(plan: CalibrationPlan, device: str) -> list[Task]:
    cases = calibration_cases(torch.device(device).type, plan.largest_side)
    seconds = max(0.02, CASE_SHARE * plan.seconds)
    return [Task(case, 0, device, seconds, enough_samples=5, seed=0) for case in cases]


def _measured(
    executor: OneWorker, tasks: list[Task], observer: Observer, has_time: Callable[[], bool]
) -> tuple[MeasuredCase, ...]:
    """Measure task after task while there is time; what failed is left out."""
    observer.planned(len(tasks))
    found: list[MeasuredCase] = []

    def in_time() -> Iterator[Task]:
        for number, task in enumerate(tasks):
            if number and not has_time():
                return
            yield task

    try:
        for task, outcome in executor.run(
            InOrder(in_time()), lambda task: observer.started(task.case)
        ):
            observer.finished(task.case, outcome)
            if outcome.status == "ok":
                found.append(_measured_case(task.case, outcome))
    except KeyboardInterrupt:
        if not found:
            raise
        observer.interrupted()
    return tuple(found)


def _measured_case(case: Case, outcome: Outcome) -> MeasuredCase:
    return MeasuredCase(
        case=case,
        peak_allocated_bytes=outcome.figures.get("peak_allocated_bytes"),
        step_peak_bytes=outcome.figures.get("step_peak_bytes"),
        latency_s=median(outcome.samples_s) if outcome.samples_s else None,
    )
