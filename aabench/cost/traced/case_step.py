"""The step of a case: the settings of the trace that a case and its target stand for."""

from __future__ import annotations

from aabench.cases.case import Case
from aabench.cost.target import Target
from aabench.cost.timeline import CUDA_GRANULE
from aabench.cost.traced.step_settings import StepSettings


def step_settings(case: Case, target: Target) -> StepSettings:
    """What one step of a case is, in the words of the trace."""
    return StepSettings(
        mode=case.mode,
        precision=case.precision,
        memory_format=case.memory_format,
        optimizer=case.optimizer,
        of_layer=case.network is None,
        granularity=CUDA_GRANULE if target.device_type == "cuda" else 1,
        device_type=target.device_type,
        capability=target.capability,
        threads=target.threads,
    )
