"""Executing one task inside the worker: build, check, count, read the memory, sample the time."""

from __future__ import annotations

import gc
import math
from typing import Any

import torch

from aabench.cases.case import Case
from aabench.cases.network_catalogue import NO_ATTENTION
from aabench.errors import UnsupportedCase, UsageError
from aabench.measuring.out_of_memory import recognise_out_of_memory
from aabench.runs.check import WrongResult, check_case, check_form, check_network
from aabench.runs.hello import device_facts
from aabench.runs.phases import Phases
from aabench.runs.predicting import target_of
from aabench.runs.prediction import PEAK, has_closed_form
from aabench.runs.readings import Readings, first_call, read_kernel, read_latency, read_memory
from aabench.runs.skipping import TooLarge, too_large_here
from aabench.runs.subject import build_subject, numeric_flags
from aabench.runs.task import Outcome, Task
from aabench.runs.traced_prediction import case_model, predict_traced
from aabench.runs.tracing import traced_counts


def execute(task: Task) -> Outcome:
    """Measure one task; whatever it raises becomes the outcome."""
    readings = Readings()
    figures, phases = readings.figures, Phases()
    status, reason, tainted = "ok", None, False
    try:
        device = torch.device(task.device)
        refuse_precision(task.case, device)
        with numeric_flags(task.case):
            _measure(task, device, readings, phases)
    except UnsupportedCase as error:
        status, reason = "unsupported", str(error)
    except TooLarge as error:
        status, reason = "skipped", str(error)
    except WrongResult as error:
        status, reason = "wrong", str(error)
        figures |= error.figures
    except UsageError as error:
        status, reason = "invalid", str(error)
    except (Exception, SystemExit) as error:  # code under test may raise anything at all
        status, reason, tainted = *_unexpected(error, figures), True
    with phases.phase("clearing"):
        gc.collect()
    return Outcome(
        status=status,
        reason=reason,
        figures=finite(figures),
        samples_s=readings.samples_s if status == "ok" else [],
        warnings=[str(remark) for remark in readings.remarks],
        device=task.where,
        phases_s=phases.seconds,
        tainted=tainted,
    )


def refuse_precision(case: Case, device: torch.device) -> None:
    """Refuse number formats that the device does not have.

    Raises:
        UnsupportedCase: with the formats that it has.
    """
    if case.precision == "tf32" and device.type != "cuda":
        raise UnsupportedCase(
            case.attention, "tf32 is a mode of CUDA tensor cores; on the CPU take fp32 or bf16"
        )
    if case.precision == "tf32" and torch.cuda.get_device_capability(device) < (8, 0):
        raise UnsupportedCase(case.attention, "tf32 needs compute capability 8.0 or newer")


def finite(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures without values that are none: JSON has no NaN, and neither has a table."""
    return {
        name: value
        for name, value in figures.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _measure(task: Task, device: torch.device, readings: Readings, phases: Phases) -> None:
    """Fill in the readings of this round as they come."""
    figures = readings.figures
    first_round = task.round == 0
    if first_round and not has_closed_form(task.case):
        with phases.phase("predicting"):
            figures |= _traced_prediction(task)
    of_layer = task.case.network is None
    has_attention = of_layer and not task.case.is_plain
    if first_round and has_attention:
        with phases.phase("check"):
            check_form(task.case, device)
    with phases.phase("building"):
        subject = build_subject(task.case, device, task.seed)
    if first_round:
        with phases.phase("counting"):
            figures |= traced_counts(task.case)
        with phases.phase("check"):
            if has_attention:
                figures |= check_case(subject, task.seed)
            elif not of_layer:
                figures |= check_network(subject, device_facts(task.device))
    with phases.phase("first call"):
        first_call_s = first_call(subject)
    if first_round:
        figures["first_call_s"] = first_call_s
        with phases.phase("memory"):
            read_memory(subject, readings)
        if task.case.attention != NO_ATTENTION:
            with phases.phase("kernel"):
                read_kernel(subject, readings)
    with phases.phase("latency"):
        read_latency(subject, readings, task, first_call_s)


def _traced_prediction(task: Task) -> dict[str, Any]:
    """What is predicted of a case without a closed form; nothing where it cannot be traced.

    Raises:
        UsageError: there is no such network.
        UnsupportedCase: a form refuses one of its layers.
        TooLarge: it is predicted not to fit this machine.
    """
    case = task.case
    case_model(case)
    target = target_of(device_facts(task.device))
    try:
        figures = predict_traced(case, target)
    except UsageError:
        return {}  # data-dependent models can be measured all the same
    needed = figures.get(PEAK)
    problem = too_large_here(needed) if needed and target.device_type == "cpu" else None
    if problem:
        raise TooLarge(problem)
    return figures


def _unexpected(error: BaseException, figures: dict[str, Any]) -> tuple[str, str]:
    """Status and reason of an error that nobody raised on purpose: memory ran out, or a crash."""
    memory = recognise_out_of_memory(error)
    if memory is None:
        return "crashed", f"{type(error).__name__}: {error}".strip()[:500]
    figures |= {
        "requested_bytes": memory.requested_bytes,
        "total_bytes": memory.total_bytes,
        "free_bytes": memory.free_bytes,
    }
    return "oom", memory.message
