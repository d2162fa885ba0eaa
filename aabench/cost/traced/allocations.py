"""The allocations of a step: what came to be when, what it is, whose it is, and when it went.

A moment is the number of allocations so far. A block that goes before the next one comes is still
there at the moment of the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aabench.cost.timeline import GRADIENTS, INPUT, OPTIMIZER_STATE, PARAMETERS

BUFFERS = "buffers"
TARGET = "target"
GRADIENT_BUCKETS = "gradient buckets"
ACTIVATIONS = "activations"
TEMPORARIES = "temporaries"
ATTENTION_MAPS = "attention maps"
ATTENTION_BUFFERS = "attention buffers"
CONVOLUTION_COPIES = "convolution copies"

KINDS = (
    PARAMETERS,
    BUFFERS,
    OPTIMIZER_STATE,
    INPUT,
    TARGET,
    GRADIENT_BUCKETS,
    GRADIENTS,
    ACTIVATIONS,
    ATTENTION_MAPS,
    ATTENTION_BUFFERS,
    CONVOLUTION_COPIES,
    TEMPORARIES,
)
"""What the bytes of a network's step are: the lines of a composition.

``activations`` are kept from the forward for the backward pass, or computed again for it;
``attention maps`` are full (B, Nh, N, N) ones and ``attention buffers`` whatever else a form of the
attention allocates, saved or not; ``convolution copies`` are what the CPU's library lays out anew.
"""

NEVER = np.iinfo(np.int64).max
"""The moment at which a block goes that is still there when the step ends."""


class AllocationLog:
    """What is written down while a step runs."""

    def __init__(self) -> None:
        self.moment = 0
        self.sizes: list[int] = []
        self.kinds: list[str] = []
        self.owners: list[int] = []
        self.born: list[int] = []
        self.died: list[int] = []

    def allocate(self, size: int, kind: str, owner: int) -> int:
        """A block of so many bytes comes to be; returns its place in the log."""
        self.moment += 1
        return self._written(size, kind, owner, self.moment)

    def allocated_before(self, size: int, kind: str, owner: int) -> int:
        """A block that turns out to have been there before the first moment."""
        return self._written(size, kind, owner, 0)

    def free(self, place: int) -> None:
        """A block goes; nothing happens if it is gone already."""
        if self.died[place] == NEVER:
            self.died[place] = self.moment

    def alive(self) -> list[int]:
        """The places of the blocks that are alive now."""
        return [place for place, died in enumerate(self.died) if died == NEVER]

    def columns(self) -> Allocations:
        """The log as columns."""
        codes = {kind: code for code, kind in enumerate(KINDS)}
        return Allocations(
            sizes=np.array(self.sizes, np.int64),
            kinds=np.array([codes[kind] for kind in self.kinds], np.int64),
            owners=np.array(self.owners, np.int64),
            born=np.array(self.born, np.int64),
            died=np.array(self.died, np.int64),
        )

    def _written(self, size: int, kind: str, owner: int, moment: int) -> int:
        self.sizes.append(size)
        self.kinds.append(kind)
        self.owners.append(owner)
        self.born.append(moment)
        self.died.append(NEVER)
        return len(self.sizes) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Allocations:
    """All blocks of a step as columns of one length.

    Attributes:
        sizes: bytes asked for.
        kinds: places in ``KINDS``.
        owners: numbers of modules.
        born: the moment at which the block comes.
        died: the last moment at which it is there.
    """

    sizes: NDArray[np.int64]
    kinds: NDArray[np.int64]
    owners: NDArray[np.int64]
    born: NDArray[np.int64]
    died: NDArray[np.int64]

    def rounded(self, granularity: int) -> NDArray[np.int64]:
        """Bytes as an allocator counts them that rounds up to multiples."""
        return -(-self.sizes // granularity) * granularity

    def levels(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bytes alive at every moment from 0 on."""
        moments = int(self.born.max(initial=0)) + 1
        change = np.zeros(moments + 1, np.int64)
        np.add.at(change, self.born, sizes)
        gone = self.died < moments
        np.subtract.at(change, self.died[gone] + 1, sizes[gone])
        return np.cumsum(change)[:moments]

    def alive_at(self, moment: int) -> NDArray[np.bool_]:
        """Which blocks are there at a moment."""
        return (self.born <= moment) & (self.died >= moment)

    def alive_after(self, moment: int) -> NDArray[np.bool_]:
        """Which blocks of those up to a moment outlive it."""
        return (self.born <= moment) & (self.died > moment)

    def runs_alike(self, other: Allocations) -> bool:
        """Whether the same blocks come and go in the same order, of whatever sizes."""
        columns: list[tuple[Any, Any]] = [
            (self.kinds, other.kinds),
            (self.owners, other.owners),
            (self.born, other.born),
            (self.died, other.died),
        ]
        return all(np.array_equal(one, another) for one, another in columns)
