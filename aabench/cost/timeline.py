"""The timeline: the blocks of memory that one step allocates and frees, for many cases at once.

A closed form tells the step as it runs: ``allocate`` where a tensor comes to be, ``keep`` where
something else refers to it too, ``free`` where a reference goes. Sizes are columns, one entry a
case, so one telling serves a million cases; the timeline knows the most bytes that were alive
together, and what they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aabench.cost.columns import Column

CUDA_GRANULE = 512
"""torch's CUDA allocator rounds every block up to a multiple of this many bytes."""

INPUT = "input"
TARGET = "output gradient"
PARAMETERS = "parameters"
OPTIMIZER_STATE = "optimizer state"
KQV = "kqv"
LOGITS = "logits"
POSITION_LOGITS = "position logits"
SOFTMAX = "softmax"
OUTPUT = "output"
BLOCK_BUFFER = "block buffer"
GRADIENTS = "gradients"
WORKSPACE = "workspace"

KINDS = (
    INPUT,
    TARGET,
    PARAMETERS,
    OPTIMIZER_STATE,
    KQV,
    LOGITS,
    POSITION_LOGITS,
    SOFTMAX,
    OUTPUT,
    BLOCK_BUFFER,
    GRADIENTS,
    WORKSPACE,
)
"""What the bytes of a step are: the lines of a composition."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One allocation.

    Attributes:
        kind: one of ``KINDS``.
        size: bytes, as the allocator counts them.
        is_map: whether it is a full (B, Nh, N, N) attention map.
    """

    kind: str
    size: Column
    is_map: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Event:
    """A block that comes (sign 1) or goes (sign -1), after so many allocations."""

    block: Block
    sign: int
    moment: int


@dataclass(frozen=True, slots=True, eq=False)
class _Reuse:
    """Work in memory that is there already, after so many allocations."""

    size: Column
    launches: Column
    moment: int


class Timeline:
    """What is alive during a step.

    Args:
        rows: how many cases.
        granule: every block is rounded up to a multiple of this many bytes.
        dtype: of the sizes; float64 to look for those that 64 bits do not hold.
    """

    def __init__(self, rows: int, *, granule: int = 1, dtype: Any = np.int64) -> None:
        self._granule = granule
        self._events: list[_Event] = []
        self._references: dict[Block, int] = {}
        self._moment = 0
        self._live = np.zeros(rows, dtype)
        self._peak = np.zeros(rows, dtype)
        self._peak_moment = np.zeros(rows, np.int16)
        self._reuses: list[_Reuse] = []

    @property
    def live(self) -> Column:
        """Bytes alive now."""
        return self._live.copy()

    @property
    def peak(self) -> Column:
        """Most bytes alive together so far."""
        return self._peak.copy()

    @property
    def moment(self) -> int:
        """How many blocks have come to be so far."""
        return self._moment

    def bytes_since(self, moment: int) -> Column:
        """Bytes written after some moment: of all blocks that came, and of what was reused."""
        total = np.zeros_like(self._live)
        for event in self._events:
            if event.sign > 0 and event.moment > moment:
                total += event.block.size
        for reuse in self._reuses:
            if reuse.moment > moment:
                total += reuse.size
        return total

    def launches_since(self, moment: int) -> Column:
        """Operations after some moment: one a block that came with any bytes, and those in reused memory."""
        total = np.zeros_like(self._live)
        for event in self._events:
            if event.sign > 0 and event.moment > moment:
                total += event.block.size > 0
        for reuse in self._reuses:
            if reuse.moment > moment:
                total += reuse.launches
        return total

    @property
    def has_maps(self) -> bool:
        """Whether any block so far was a full attention map."""
        return any(event.block.is_map for event in self._events)

    def allocate(self, kind: str, size: Column, *, is_map: bool = False) -> Block:
        """A tensor of this kind and of so many bytes comes to be, with one reference."""
        if self._granule > 1:
            size = -(-size // self._granule) * self._granule
        block = Block(kind, size, is_map)
        self._moment += 1
        self._events.append(_Event(block, 1, self._moment))
        self._references[block] = 1
        self._live += size
        higher = self._live > self._peak
        np.copyto(self._peak, self._live, where=higher)
        np.copyto(self._peak_moment, self._moment, where=higher)
        return block

    def keep(self, block: Block) -> Block:
        """One more reference to a block, such as a view of it that autograd saves."""
        self._references[block] += 1
        return block

    def free(self, *blocks: Block) -> None:
        """A reference to each of these goes; the bytes go with the last one."""
        for block in blocks:
            self._references[block] -= 1
            if not self._references[block]:
                del self._references[block]
                self._events.append(_Event(block, -1, self._moment))
                self._live -= block.size

    def reuse(self, size: Column, launches: Column) -> None:
        """So many bytes are written, and read again, in memory that is there already.

        Nothing comes or goes; it takes time only.

        Args:
            size: bytes, all writing together.
            launches: operations that do it.
        """
        self._reuses.append(_Reuse(size, launches, self._moment))

    def scratch(self, kind: str, size: Column, *, is_map: bool = False) -> None:
        """A block that comes and goes within one operation."""
        self.free(self.allocate(kind, size, is_map=is_map))

    def alive(self) -> list[Block]:
        """The blocks that are alive now, oldest first."""
        return list(self._references)

    def peak_by_kind(self) -> dict[str, Column]:
        """The bytes alive at each case's own peak, by kind; they sum to ``peak``."""
        return {
            kind: self._total([event for event in self._events if event.block.kind == kind])
            for kind in KINDS
        }

    def map_bytes_at_peak(self) -> Column:
        """The bytes of full attention maps that are alive at each case's own peak."""
        maps = [event for event in self._events if event.block.is_map]
        return self._total(maps)

    def _total(self, events: list[_Event]) -> Column:
        """The balance of some events as it was at each case's peak, when its last block had come."""
        total = np.zeros_like(self._live)
        for event in events:
            # A block that goes before the next one comes is still there when the last one came.
            if event.sign > 0:
                total += event.block.size * (event.moment <= self._peak_moment)
            else:
                total -= event.block.size * (event.moment < self._peak_moment)
        return total
