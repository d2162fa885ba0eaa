"""The script: which blocks come and go within one operation, told once and replayed."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import NamedTuple

import numpy as np

from aabench.cost.columns import Column
from aabench.cost.timeline import OUTPUT, WORKSPACE, Block, Timeline
from aabench.cost.traced.allocations import CONVOLUTION_COPIES, TEMPORARIES, AllocationLog


class Line(NamedTuple):
    """A block that comes or goes.

    Attributes:
        block: its number within the operation.
        size: bytes; 0 where it goes.
        kind: copies, or temporaries for the operation's results.
    """

    block: int
    size: int = 0
    kind: str = ""


Script = tuple[Line, ...]


class ScriptedTimeline(Timeline):
    """A timeline of one operation that writes down its script."""

    def __init__(self) -> None:
        super().__init__(1)
        self._numbers: dict[Block, int] = {}
        self._lines: list[Line] = []

    @property
    def script(self) -> Script:
        """What was told so far."""
        return tuple(self._lines)

    def allocate(self, kind: str, size: Column, *, is_map: bool = False) -> Block:
        """A block comes."""
        block = super().allocate(kind, size, is_map=is_map)
        number = self._numbers[block] = len(self._numbers)
        self._lines.append(Line(number, int(block.size[0]), self.line_of(block)))
        return block

    def line_of(self, block: Block) -> str:
        """The line of a composition that a block belongs to."""
        return CONVOLUTION_COPIES if block.kind == WORKSPACE else TEMPORARIES

    def free(self, *blocks: Block) -> None:
        """A reference to each of these goes."""
        for block in blocks:
            super().free(block)
            if block not in self._references:
                self._lines.append(Line(self._numbers[block]))

    def copy(self, size: int) -> Block:
        """A copy of so many bytes."""
        return self.allocate(WORKSPACE, np.array([size], np.int64))

    def result(self, size: int) -> Block:
        """A result of so many bytes, which stays."""
        return self.allocate(OUTPUT, np.array([size], np.int64))


def replay(script: Script, log: AllocationLog, owner: int) -> None:
    """Write an operation into the log; its results go at once, for the tensors that follow."""
    for place in write(script, {}, log, owner):
        log.free(place)


def write(
    script: Script, places: MutableMapping[int, int], log: AllocationLog, owner: int
) -> list[int]:
    """Write into the log of a step what comes and goes.

    Args:
        script: to be written.
        places: in the log, by the blocks' numbers; the new ones are added.
        log: of the step.
        owner: the module's number.

    Returns:
        The places of the blocks that came, in their order.
    """
    come = []
    for line in script:
        if line.kind:
            places[line.block] = log.allocate(line.size, line.kind, owner)
            come.append(places[line.block])
        else:
            log.free(places[line.block])
    return come
