"""Executing one task inside the worker: build, check, count, read the memory, sample the time."""

from __future__ import annotations

import gc
import math
from typing import Any

import torch

from aabench.cases.case import Case
from aabench.errors import UnsupportedCase, UsageError
from aabench.measuring.out_of_memory import recognise_out_of_memory
from aabench.runs.check import WrongResult, check_case, check_form
from aabench.runs.readings import (
    first_call,
    latency_readings,
    memory_figures,
    memory_readings,
)
from aabench.runs.subject import build_subject, numeric_flags
from aabench.runs.task import Outcome, Task
from aabench.runs.tracing import traced_counts


def execute(task: Task) -> Outcome:
    """Measure one task; whatever it raises becomes the outcome."""
    device = torch.device(task.device)
    figures: dict[str, Any] = {}
    try:
        refuse_precision(task.case, device)
        with numeric_flags(task.case):
            samples = _measure(task, device, figures)
    except UnsupportedCase as error:
        return _failed(task, "unsupported", str(error), figures)
    except WrongResult as error:
        return _failed(task, "wrong", str(error), {**figures, **error.figures})
    except UsageError as error:
        return _failed(task, "invalid", str(error), figures)
    except (Exception, SystemExit) as error:  # code under test may raise anything at all
        return _raised(task, error, figures)
    finally:
        gc.collect()
    return Outcome("ok", None, finite(figures), samples, device=task.device)


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


def _measure(task: Task, device: torch.device, figures: dict[str, Any]) -> list[float]:
    """Fill in the figures of this round as they come; returns its samples."""
    first_round = task.round == 0
    has_attention = not task.case.layer.is_plain
    if first_round and has_attention:
        check_form(task.case, device)
    subject = build_subject(task.case, device, task.seed)
    if first_round:
        figures |= traced_counts(task.case)
        if has_attention:
            figures |= check_case(subject, task.seed)
    first_call_s = first_call(subject)
    if first_round:
        figures["first_call_s"] = first_call_s
        figures |= memory_figures(memory_readings(subject))
    latency, samples = latency_readings(subject, task.seconds, task.enough_samples, first_call_s)
    figures |= latency
    return samples


def _failed(task: Task, status: str, reason: str, figures: dict[str, Any]) -> Outcome:
    return Outcome(status, reason, finite(figures), device=task.device)


def _raised(task: Task, error: BaseException, figures: dict[str, Any]) -> Outcome:
    """An unexpected error: out of memory if it is, a crash otherwise; the worker is not used again."""
    memory = recognise_out_of_memory(error)
    if memory is None:
        reason = f"{type(error).__name__}: {error}".strip()[:500]
        return Outcome("crashed", reason, finite(figures), device=task.device, tainted=True)
    figures |= {
        "requested_bytes": memory.requested_bytes,
        "total_bytes": memory.total_bytes,
        "free_bytes": memory.free_bytes,
    }
    return Outcome("oom", memory.message, finite(figures), device=task.device, tainted=True)
