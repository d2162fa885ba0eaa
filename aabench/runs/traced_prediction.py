"""Traced prediction of cases: what a network costs, from one step of it on fake tensors."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import nn

from aabench.cases.case import Case
from aabench.cost.roofline import step_time
from aabench.cost.target import Target
from aabench.cost.traced.case_step import step_settings
from aabench.cost.traced.cudnn import step_cudnn_bytes
from aabench.cost.traced.trace import trace_step
from aabench.cost.traced.traced_step import TracedStep
from aabench.runs.model import build_model, input_shape


def traced_step(case: Case, target: Target) -> TracedStep:
    """The predicted step of a case on a device.

    Raises:
        UsageError: there is no such network, or its step cannot be traced; the message says why.
        UnsupportedCase: an attention form cannot compute its case.
    """
    return trace_step(case_model(case), input_shape(case), step_settings(case, target))


def predict_traced(case: Case, target: Target) -> dict[str, Any]:
    """The predicted columns of a case without a closed form; raises as ``traced_step`` does."""
    return traced_figures(traced_step(case, target), case, target)


def traced_figures(step: TracedStep, case: Case, target: Target) -> dict[str, Any]:
    """The columns of the results that a traced step fills."""
    counts = {
        "params": step.params,
        "macs": step.macs,
        "flops": step.flops,
        "flops_forward": step.flops_forward,
    }
    if case.compile:
        return counts
    peak = target.bands.step_peak(
        step.base_bytes,
        step.step_peak_bytes,
        mode=case.mode,
        precision=case.precision,
        cudnn_bytes=step_cudnn_bytes(step),
    )
    return {
        **counts,
        **_times(step, case, target),
        "saved_bytes": step.saved_bytes,
        "predicted_base_bytes": step.base_bytes,
        "predicted_step_peak_bytes": step.step_peak_bytes,
        "predicted_peak_bytes": round(peak.mid),
        "predicted_peak_low_bytes": int(peak.low),
        "predicted_peak_high_bytes": int(peak.high),
        "prediction_basis": peak.basis,
    }


def _times(step: TracedStep, case: Case, target: Target) -> dict[str, Any]:
    """Predicted seconds with their band; nothing where the target's ceilings are not known."""
    ceilings = target.bands.ceilings
    time = None if ceilings is None else step_time(step.operations, ceilings, case.precision)
    if time is None:
        return {}
    band = target.bands.latency(time, mode=case.mode, precision=case.precision)
    return {
        "predicted_latency_s": band.mid,
        "predicted_latency_low_s": band.low,
        "predicted_latency_high_s": band.high,
        "bound": time.bound,
    }


def case_model(case: Case) -> nn.Module:
    """The network or layer of a case on the meta device, without memory; not to be changed.

    Raises:
        UsageError: there is no such thing.
    """
    return _built(Case(case.subject, attention=case.attention))


@lru_cache(maxsize=8)
def _built(case: Case) -> nn.Module:
    return build_model(case, torch.device("meta"))
