"""The closed form of `blocked`: no map, but one buffer for a block of queries of some heads.

Everything in a block is at least single precision. Backward computes the weights of each block
once more. Sizes, for a block of G heads and R queries of each, with S offsets in both tables:
logits G R N, products with the tables G R S, keys and values G N d.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aabench.cost.attention import Attention, AttentionForm, Gradients, Macs, Telling
from aabench.cost.columns import Column
from aabench.cost.execution import SINGLE
from aabench.cost.rounding import parts_of
from aabench.cost.timeline import (
    BLOCK_BUFFER,
    GRADIENTS,
    KQV,
    OUTPUT,
    POSITION_LOGITS,
    Block,
    Timeline,
)

BUFFER_BYTES = 16 * 2**20
"""What a block's logits, queries and results, and in backward their gradients, may take together."""


class _Pass(NamedTuple):
    """What one pass does with each block, in memory that all of them share.

    Attributes:
        maps: how often a number for each query and key is written, to be read, beyond what a table adds.
        table_maps: what a table adds to that.
        operations: that are started for a block, a table's included.
    """

    maps: int
    table_maps: int
    operations: int


FORWARD = _Pass(maps=2, table_maps=1, operations=7)
"""The product and the softmax in its place; before both the sum of rows and columns of a table."""

BACKWARD = _Pass(maps=4, table_maps=1, operations=17)
"""The weights again, then their gradient and that of the logits in its place."""


class BlockedForm(AttentionForm):
    """No full map at any time."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """Values are written where the next convolution reads them."""
        return True

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """The products forward; backward the logits and positions again, and two more of each."""
        times = 4 if attention.trains else 1
        macs = {"logits": Macs(attention.key_macs, attention.key_macs * times)}
        if attention.has_tables:
            positions = attention.queries * attention.key_depth * _offsets(attention)
            macs["position logits"] = Macs(positions, positions * times)
        values = attention.value_macs
        macs["values"] = Macs(values, values * (3 if attention.trains else 1))
        return macs

    def memory(self, attention: Attention, memory: Timeline, kqv: Block) -> Telling:
        """The workspace of each pass; only q, k and v are kept between them."""
        if attention.trains:
            memory.keep(kqv)
        tables = _allocate_tables(attention, memory)
        attended = memory.allocate(OUTPUT, attention.value_bytes)
        sizes = _BlockSizes.of(attention, copies=1)
        workspace = sizes.forward(memory)
        sizes.reuse(memory, FORWARD)
        memory.free(*workspace, *tables)

        gradient = yield attended

        tables = _allocate_tables(attention, memory)
        of_q, of_k = (memory.allocate(GRADIENTS, attention.key_bytes) for _ in "qk")
        of_v = memory.allocate(GRADIENTS, attention.value_bytes)
        sizes = _BlockSizes.of(attention, copies=2)
        workspace = sizes.backward(memory)
        sizes.reuse(memory, BACKWARD)
        memory.free(*workspace, *tables, gradient, kqv)
        return Gradients(of_q, of_k, of_v)


@dataclass(frozen=True, slots=True, eq=False)
class _BlockSizes:
    """The largest block of a pass.

    Attributes:
        attention: what is cut into blocks.
        heads: G, of all images of the block together.
        queries: R, of each head.

    """

    attention: Attention
    heads: Column
    queries: Column

    @classmethod
    def of(cls, attention: Attention, copies: int) -> _BlockSizes:
        """The largest block that fits the buffer, in even cuts.

        Args:
            attention: what is cut.
            copies: 2 where the gradients of all its parts have to fit as well.

        """
        batch, heads, tokens = attention.batch, attention.heads, attention.tokens
        numbers = tokens + _offsets(attention)
        numbers = numbers + 2 * (attention.key_depth + attention.value_depth)
        fitting = BUFFER_BYTES // (numbers * copies * SINGLE)
        # As many heads as threads at least, and whole heads beyond that.
        parallel = np.minimum(attention.execution.threads, batch * heads)
        whole = parallel * (fitting // (tokens * parallel))
        together = np.minimum(fitting, np.maximum(parallel, whole))
        images = _even_cut(batch, together // heads)
        heads_of_image = _even_cut(heads, together)
        left = fitting // (images * heads_of_image)
        rows = _even_cut(attention.height, left // attention.width)
        columns = _even_cut(attention.width, left)
        return cls(attention, images * heads_of_image, rows * columns)

    def forward(self, memory: Timeline) -> list[Block]:
        """Allocate the workspace of the forward pass."""
        a = self.attention
        per_key = (a.key_depth, a.value_depth)
        per_query = [a.key_depth, a.tokens, a.value_depth]
        if a.has_tables:
            per_query.append(_offsets(a))
        return self._allocated(memory, per_key, per_query)

    def backward(self, memory: Timeline) -> list[Block]:
        """Allocate the workspace of the backward pass."""
        a = self.attention
        per_key = (a.key_depth, a.value_depth) * 2
        per_query = [a.key_depth, a.key_depth, a.value_depth, a.tokens, a.tokens]
        if a.has_tables:
            per_query += [_offsets(a), _offsets(a)]
        workspace = self._allocated(memory, per_key, per_query)
        if a.has_tables:
            size = self.heads * a.key_depth * _offsets(a) * SINGLE
            workspace.append(memory.allocate(GRADIENTS, size))
        return workspace

    def reuse(self, memory: Timeline, work: _Pass) -> None:
        """Tell what all blocks together write into the workspace and read there."""
        a = self.attention
        maps = work.maps + (work.table_maps if a.has_tables else 0)
        blocks = parts_of(a.batch * a.heads, self.heads) * parts_of(a.tokens, self.queries)
        memory.reuse(a.maps * (SINGLE * maps), blocks * work.operations)

    def _allocated(
        self, memory: Timeline, per_key: tuple[Column, ...], per_query: list[Column]
    ) -> list[Block]:
        keys = self.heads * self.attention.tokens * SINGLE
        queries = self.heads * self.queries * SINGLE
        return [
            *(memory.allocate(KQV, keys * depth) for depth in per_key),
            *(memory.allocate(BLOCK_BUFFER, queries * width) for width in per_query),
        ]


def _allocate_tables(attention: Attention, memory: Timeline) -> list[Block]:
    """Both tables as one, in the precision of the blocks; joined, then laid out anew."""
    if not attention.has_tables:
        return []
    size = _offsets(attention) * attention.key_depth * SINGLE
    joined = memory.allocate(POSITION_LOGITS, size)
    table = memory.allocate(POSITION_LOGITS, size)
    memory.free(joined)
    return [table]


def _offsets(attention: Attention) -> Column:
    """S = (2H-1) + (2W-1)."""
    return 2 * (attention.height + attention.width) - 2


def _even_cut(total: Column, most: Column) -> Column:
    """The size of the parts, at most this large and at least 1, that cut a total most evenly."""
    return parts_of(total, parts_of(total, np.maximum(most, 1)))


FORM = BlockedForm()
