"""The execution: where a layer runs and in which numbers, as far as it decides bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from aabench.errors import UnknownName

SINGLE = 4
"""Bytes of a single-precision number."""

HALF = 2
"""Bytes of a half-precision number of either kind."""

ITEM_SIZES = {
    "fp32": (SINGLE, SINGLE),
    "tf32": (SINGLE, SINGLE),
    "bf16": (HALF, HALF),
    "fp16": (HALF, HALF),
    "amp-bf16": (SINGLE, HALF),
    "amp-fp16": (SINGLE, HALF),
}
"""Bytes of a stored number (parameters, input) and of a computed one, by precision."""

Capability = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Execution:
    """Where and in which numbers.

    Attributes:
        device_type: ``cpu``, ``cuda`` or another of torch's names.
        precision: a name of ``aabench.cases.case.PRECISIONS``.
        channels_last: whether channels are innermost in memory.
        threads: CPU threads that share the work; some kernels take scratch memory for each.
        capability: of a CUDA device, as far as it is known: it decides which kernels run.

    """

    device_type: str
    precision: str
    channels_last: bool
    threads: int
    capability: Capability | None = None

    def __post_init__(self) -> None:
        if self.precision not in ITEM_SIZES:
            raise UnknownName("precision", self.precision, ITEM_SIZES)

    @property
    def stored(self) -> int:
        """Bytes of an element of the parameters, of their gradients and of the layer's input."""
        return ITEM_SIZES[self.precision][0]

    @property
    def computed(self) -> int:
        """Bytes of an element of what convolutions and products take and give."""
        return ITEM_SIZES[self.precision][1]

    @property
    def casts(self) -> bool:
        """Whether weights and input are cast before they are used: autocast."""
        return self.stored != self.computed

    @property
    def is_half(self) -> bool:
        """Whether products take half-precision numbers."""
        return self.computed == HALF

    @property
    def on_cpu(self) -> bool:
        """Whether the CPU's kernels and its allocator do the work."""
        return self.device_type == "cpu"


def default_threads() -> int:
    """The threads that torch's CPU kernels use unless told otherwise: one a physical core."""
    import psutil

    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(psutil.cpu_count(logical=False) or 1, usable or 1))
