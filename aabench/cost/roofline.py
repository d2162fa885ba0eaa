"""The roofline: seconds of operations from what they compute, move and launch, under given ceilings.

An operation takes as long as the slower of its arithmetic and its traffic (Williams, Waterman and
Patterson, "Roofline", CACM 2009); launching operations comes on top. That is what a machine needs
at the very least, if ceilings are what it can do at best. How far real steps are from it, only
measuring can say: see ``aabench.cost.bands``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aabench.cases.ceilings import Ceilings
from aabench.cost.columns import Column

COMPUTE, MEMORY, LAUNCH = "compute", "memory", "launch"

BOUNDS = (COMPUTE, MEMORY, LAUNCH)
"""What a step may be bound by, in the order of ``bound_codes``."""


class Operation(Protocol):
    """What the roofline needs to know of an operation, or of a module that stands for several."""

    @property
    def flops(self) -> float:
        """Floating-point operations of its products, two a multiply-accumulate."""

    @property
    def bytes_moved(self) -> float:
        """Bytes that it reads and writes."""

    @property
    def launches(self) -> int:
        """Operations that the host starts for it."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Predicted seconds of one step, by what they are spent on.

    Attributes:
        compute_s: in operations whose arithmetic is the slower part.
        memory_s: in operations whose traffic is.
        launch_s: in starting operations.
    """

    compute_s: float
    memory_s: float
    launch_s: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.compute_s + self.memory_s + self.launch_s

    @property
    def bound(self) -> str:
        """What takes most of them: ``compute``, ``memory`` or ``launch``."""
        return BOUNDS[int(np.argmax([self.compute_s, self.memory_s, self.launch_s]))]


def step_time(
    operations: Iterable[Operation], ceilings: Ceilings, precision: str
) -> StepTime | None:
    """Predicted time of a step that runs these operations one after another.

    Args:
        operations: of the whole step, backward pass and optimiser included.
        ceilings: of the machine or card.
        precision: in which the products run.

    Returns:
        None where the ceilings have no rate for the precision.
    """
    rate = ceilings.rate(precision)
    if rate is None:
        return None
    compute_s = memory_s = 0.0
    launches = 0
    for operation in operations:
        computing = operation.flops / rate
        moving = operation.bytes_moved / ceilings.bandwidth_bytes_per_s
        if computing > moving:
            compute_s += computing
        else:
            memory_s += moving
        launches += operation.launches
    return StepTime(compute_s, memory_s, launches * ceilings.launch_s)


def roofs(
    flops: Column, bytes_moved: Column, rate: float, bandwidth: float
) -> tuple[Column, Column]:
    """Seconds of one operation in many cases: compute-bound ones in the first column, others second."""
    computing, moving = flops / rate, bytes_moved / bandwidth
    is_computing = computing > moving
    return np.where(is_computing, computing, 0.0), np.where(is_computing, 0.0, moving)


def bound_codes(compute_s: Column, memory_s: Column, launch_s: Column) -> NDArray[np.int16]:
    """What takes most of each case's time, as its place in ``BOUNDS``."""
    codes = np.where(memory_s > compute_s, np.int16(1), np.int16(0))
    return np.where(launch_s > np.maximum(compute_s, memory_s), np.int16(2), codes)
