"""The attention record: one attention of a traced step, which can be told again for another batch.

Blocks of a network grow evenly with the batch, but not those of every attention form: one that works in
a buffer of a fixed size cuts it for each batch anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from aabench.cost.attention import Attention, AttentionForm
from aabench.cost.columns import Column
from aabench.cost.execution import Execution
from aabench.cost.timeline import GRADIENTS, KQV, Block, Timeline


class AttentionKey(NamedTuple):
    """What decides which blocks an attention makes; those of equal ones are the same."""

    form: AttentionForm
    sizes: tuple[int, ...]
    has_tables: bool
    trains: bool
    execution: Execution


@dataclass(frozen=True, slots=True, eq=False)
class AttentionRecord:
    """One attention, as traced.

    Attributes:
        form: its closed form.
        attention: its sizes.
        places: of its own blocks in the step's log, in the order in which they came.
        operations: the places of its passes among the step's operations.
    """

    form: AttentionForm
    attention: Attention
    places: tuple[int, ...]
    operations: tuple[int, ...]

    @property
    def batch(self) -> int:
        """Images, or windows of them."""
        return int(self.attention.batch[0])

    def at_batch(self, batch: int) -> AttentionRecord:
        """The same attention of more or fewer images, more than one."""
        return replace(self, attention=replace(self.attention, batch=np.array([batch], np.int64)))

    @property
    def key(self) -> AttentionKey:
        """What another record must have to make the same blocks."""
        a = self.attention
        columns = (a.batch, a.heads, a.key_depth, a.value_depth, a.height, a.width)
        sizes = (*(int(column[0]) for column in columns), len(self.operations))
        return AttentionKey(self.form, sizes, a.has_tables, a.trains, a.execution)

    def told(self) -> Told:
        """What the form does, told anew."""
        memory = _Telling()
        telling = self.form.memory(self.attention, memory, memory.outside(KQV))
        work, begin = [], memory.moment
        next(telling)
        work.append(work_since(memory, begin))
        if len(self.operations) > 1:
            gradient, begin = memory.outside(GRADIENTS), memory.moment
            try:
                telling.send(gradient)
            except StopIteration:
                work.append(work_since(memory, begin))  # a telling ends with its backward pass
        return Told(tuple(memory.sizes), tuple(work))


class Told(NamedTuple):
    """What an attention does.

    Attributes:
        sizes: bytes of its blocks, in the order in which they come.
        work: bytes moved and operations launched by each of its passes.
    """

    sizes: tuple[int, ...]
    work: tuple[tuple[int, int], ...]


class _Telling(Timeline):
    """A timeline that writes down what a form allocates."""

    def __init__(self) -> None:
        super().__init__(1)
        self.sizes: list[int] = []

    def allocate(self, kind: str, size: Column, *, is_map: bool = False) -> Block:
        """A block of the form's own."""
        self.sizes.append(int(size[0]))
        return super().allocate(kind, size, is_map=is_map)

    def outside(self, kind: str) -> Block:
        """A block of somebody else's, of no size."""
        return super().allocate(kind, np.zeros(1, np.int64))


def work_since(memory: Timeline, moment: int) -> tuple[int, int]:
    """Bytes moved and operations launched since a moment: whatever was written was read once too."""
    return 2 * int(memory.bytes_since(moment)[0]), int(memory.launches_since(moment)[0])
