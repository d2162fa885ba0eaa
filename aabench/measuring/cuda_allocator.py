"""The CUDA caching allocator of one device: its figures, its cache, its library workspaces.

Everything that the memory pass asks of ``torch.cuda`` is here, behind the protocol ``Allocator``, so
that its logic can be tested without a card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch


@dataclass(frozen=True, slots=True)
class AllocatorFigures:
    """One look at the allocator and the card, in bytes and plain counts.

    Attributes:
        allocated_bytes: in blocks handed out, as rounded by the allocator.
        requested_bytes: of these, what was asked for; None if the allocator does not count it.
        reserved_bytes: held from the driver.
        peak_allocated_bytes: most allocated since the peaks were reset.
        peak_reserved_bytes: most reserved since then.
        retries: times the allocator flushed its cache and tried again, since the process began.
        ooms: allocations that failed, since the process began.
        free_bytes: free on the card, for anyone.
        total_bytes: of the card.

    """

    allocated_bytes: int
    requested_bytes: int | None
    reserved_bytes: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int
    retries: int
    ooms: int
    free_bytes: int
    total_bytes: int


class Allocator(Protocol):
    """What the memory pass needs of a device's caching allocator."""

    def owns(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies on the allocator's device."""

    def synchronize(self) -> None:
        """Wait until all work enqueued so far is done."""

    def release_cache(self) -> None:
        """Give all blocks that nobody uses back to the driver."""

    def release_workspaces(self) -> bool:
        """Free the workspaces that cuBLAS keeps; False if this torch has no way to."""

    def reset_peaks(self) -> None:
        """Begin both peaks anew, from what is allocated and reserved now."""

    def figures(self) -> AllocatorFigures:
        """One look at the allocator and the card."""


class CudaAllocator:
    """The caching allocator of a CUDA device, behind the protocol ``Allocator``.

    Args:
        device: a CUDA device with or without index.

    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def owns(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies on this device; any CUDA device if it was given without index."""
        same_index = self.device.index in (None, tensor.device.index)
        return tensor.device.type == self.device.type and same_index

    def synchronize(self) -> None:
        """Wait until all work of all streams is done."""
        torch.cuda.synchronize(self.device)

    def release_cache(self) -> None:
        """Give cached blocks back to the driver."""
        torch.cuda.empty_cache()

    def release_workspaces(self) -> bool:
        """Free the cuBLAS workspaces; the next matrix product allocates its own again.

        torch has no public function for this. The one used is what its own CUDA-graph code calls;
        where it is missing, workspaces are simply not known.
        """
        release: Any = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
        if release is None:
            return False
        release()
        return True

    def reset_peaks(self) -> None:
        """Begin both peaks anew."""
        torch.cuda.reset_peak_memory_stats(self.device)

    def figures(self) -> AllocatorFigures:
        """One look; the keys are those of ``torch.cuda.memory_stats``."""
        counts = torch.cuda.memory_stats(self.device)
        free, total = torch.cuda.mem_get_info(self.device)
        return AllocatorFigures(
            allocated_bytes=counts.get("allocated_bytes.all.current", 0),
            requested_bytes=counts.get("requested_bytes.all.current"),
            reserved_bytes=counts.get("reserved_bytes.all.current", 0),
            peak_allocated_bytes=counts.get("allocated_bytes.all.peak", 0),
            peak_reserved_bytes=counts.get("reserved_bytes.all.peak", 0),
            retries=counts.get("num_alloc_retries", 0),
            ooms=counts.get("num_ooms", 0),
            free_bytes=free,
            total_bytes=total,
        )
