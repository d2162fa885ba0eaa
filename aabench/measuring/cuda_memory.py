"""CUDA memory: the peaks of exactly one steady-state step, from the caching allocator's counters."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable

import torch

from aabench.measuring.cuda_allocator import Allocator, AllocatorFigures
from aabench.measuring.garbage_collection import collection_paused
from aabench.measuring.memory import MemoryMeasurement, base_bytes
from aabench.measuring.step import Step


def measure_cuda_memory(
    step: Step,
    base_tensors: Callable[[], Iterable[torch.Tensor]],
    allocator: Allocator,
    *,
    warmup_calls: int = 1,
) -> MemoryMeasurement:
    """Peak bytes of exactly one step on a CUDA device, in a pass of its own.

    Warm up; drop outputs and gradients; collect; synchronise; empty the cache; reset the peaks; read
    the base; run one step; synchronise; read. The warm-up makes the libraries allocate their
    workspaces, which so lie in the base, not in the step.

    Args:
        step: the work.
        base_tensors: gives what is alive between steps: parameters, buffers, optimiser state, input,
            target or output gradient; tensors on other devices are passed over.
        allocator: of the device that the step runs on.
        warmup_calls: full steps to run first; 0 if the step has already run.

    Raises:
        torch.OutOfMemoryError: the step does not fit.

    """
    for _ in range(warmup_calls):
        step.run()
        step.reset()
    _settle(step, allocator)
    allocator.reset_peaks()
    before = allocator.figures()
    with collection_paused():
        step.run()
        allocator.synchronize()
    after = allocator.figures()
    workspace_bytes, unaccounted_bytes = _explain_base(step, base_tensors, allocator)
    return MemoryMeasurement(
        base_bytes=before.allocated_bytes,
        step_peak_bytes=after.peak_allocated_bytes - before.allocated_bytes,
        peak_allocated_bytes=after.peak_allocated_bytes,
        retained_bytes=after.allocated_bytes - before.allocated_bytes,
        peak_reserved_bytes=after.peak_reserved_bytes,
        outside_torch_bytes=_outside_torch(after),
        workspace_bytes=workspace_bytes,
        unaccounted_bytes=unaccounted_bytes,
        allocator_retries=after.retries - before.retries,
        ooms=after.ooms - before.ooms,
    )


def _settle(step: Step, allocator: Allocator) -> None:
    """Leave nothing allocated or cached but what is alive between steps."""
    step.reset()
    gc.collect()
    allocator.synchronize()
    allocator.release_cache()


def _outside_torch(figures: AllocatorFigures) -> int:
    return max(0, figures.total_bytes - figures.free_bytes - figures.reserved_bytes)


def _explain_base(
    step: Step, base_tensors: Callable[[], Iterable[torch.Tensor]], allocator: Allocator
) -> tuple[int | None, int | None]:
    """Bytes of library workspace, and bytes that neither it nor the base tensors explain."""
    step.reset()
    with_workspaces = allocator.figures()
    if not allocator.release_workspaces():
        return None, None
    without = allocator.figures()
    workspace = with_workspaces.allocated_bytes - without.allocated_bytes
    if without.requested_bytes is None:
        return workspace, None
    known = base_bytes(tensor for tensor in base_tensors() if allocator.owns(tensor))
    return workspace, without.requested_bytes - known
