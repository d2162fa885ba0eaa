"""The memory measurement: bytes alive before and during one step, and what is held beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class MemoryMeasurement:
    """Memory of exactly one step; what a device cannot tell is None.

    Attributes:
        base_bytes: alive before the step. On the CPU summed over the storages of the base tensors;
            on CUDA what the allocator says, with its rounding and the library workspaces.
        step_peak_bytes: most bytes alive during the step, over the base.
        peak_allocated_bytes: base_bytes + step_peak_bytes.
        retained_bytes: allocated by the step and still alive at its end, as gradients are.
        replaced_base_bytes: CPU: bytes of base storages that their tensors no longer use after the
            step. If they were freed during it, the peak is too high by up to as much.
        peak_reserved_bytes: CUDA: most bytes the caching allocator held from the driver.
        outside_torch_bytes: CUDA: bytes in use on the card and not held by this allocator: context,
            libraries, other processes.
        workspace_bytes: CUDA: part of the base that cuBLAS keeps as workspace; None if not known.
        unaccounted_bytes: CUDA: part of the base that neither base tensors nor workspace explain,
            such as what an earlier case leaked; None if not known.
        allocator_retries: CUDA: times the allocator flushed its cache and tried again in the step.
        ooms: CUDA: allocations that failed in the step.

    """

    base_bytes: int
    step_peak_bytes: int
    peak_allocated_bytes: int
    retained_bytes: int
    replaced_base_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    outside_torch_bytes: int | None = None
    workspace_bytes: int | None = None
    unaccounted_bytes: int | None = None
    allocator_retries: int | None = None
    ooms: int | None = None

    @property
    def is_clean(self) -> bool:
        """Whether the allocator never had to try again: else the peaks are those of a squeezed step."""
        return not self.allocator_retries and not self.ooms


def storage_sizes(tensors: Iterable[torch.Tensor]) -> dict[int, int]:
    """Bytes of each storage behind some tensors, by address: views and tied weights count once.

    Args:
        tensors: dense tensors, on any one device; storages of 0 bytes are left out.

    """
    storages = (tensor.untyped_storage() for tensor in tensors)
    return {storage.data_ptr(): storage.nbytes() for storage in storages if storage.nbytes() > 0}


def base_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of the storages behind some tensors, each storage once and whole."""
    return sum(storage_sizes(tensors).values())
