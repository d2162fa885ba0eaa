"""Relative logits per key row and key column: two small products with Toeplitz tables."""

from __future__ import annotations

import numpy as np

from aabench.cost.attention import Attention, Macs, plain_macs
from aabench.cost.columns import Column
from aabench.cost.timeline import GRADIENTS, KQV, POSITION_LOGITS, Block, Timeline


def row_column_macs(attention: Attention) -> Macs:
    """B N dk (H + W): each query times one vector for every key row and every key column."""
    return offset_macs(attention, attention.height + attention.width)


def offset_macs(attention: Attention, vectors: Column) -> Macs:
    """Each query times so many vectors, by einsum.

    With one channel a head einsum multiplies element by element: no matrix product, and no MACs.
    """
    if attention.has_scalar_keys:
        vectors = np.zeros_like(attention.queries)
    return plain_macs(attention.queries * attention.key_depth * vectors, attention)


def queries_by_position(attention: Attention, memory: Timeline, kqv: Block) -> Block:
    """The queries as einsum reads them: copied into the order of its product, where there is one.

    A single map is in order, and one channel a head is multiplied as it lies.
    """
    if attention.has_one_map or attention.has_scalar_keys:
        return memory.keep(kqv)
    return memory.allocate(KQV, attention.key_bytes)


class RowColumnLogits:
    """The logits a (B, Nh, N, H) and b (B, Nh, N, W), and later the gradient of q from theirs.

    The products run over rows (columns) of the image first, so q is copied for each, and each
    result once more to bring the images first again; with one map only the columns' is.

    Attributes:
        rows: a.
        columns: b.

    """

    def __init__(self, attention: Attention, memory: Timeline, kqv: Block) -> None:
        self._attention, self._memory = attention, memory
        self._saved: list[Block] = []
        by_row = self._product(kqv, attention.height)
        by_column = self._product(kqv, attention.width)
        if attention.has_one_map:
            self.rows = memory.keep(by_row)
        else:
            self.rows = memory.allocate(POSITION_LOGITS, by_row.size)
        self.columns = memory.allocate(POSITION_LOGITS, by_column.size)
        memory.free(by_row, by_column)

    def backward(self) -> Block:
        """The gradient of q, from the gradient of the sum over full maps, which is the caller's."""
        memory = self._memory
        of_columns = memory.allocate(GRADIENTS, self.columns.size)
        of_rows = memory.allocate(GRADIENTS, self.rows.size)
        of_q_by_column = self._product_backward(of_columns, self._attention.width)
        of_q_by_row = self._product_backward(of_rows, self._attention.height)
        return self._summed(of_q_by_column, of_q_by_row)

    def backward_of(self, of_rows: Block, of_columns: Block) -> Block:
        """The gradient of q, from those of a and b; a reference to each of these goes.

        Images, heads and rows of b's gradient are one dimension as they are; a's has to be copied.
        """
        attention = self._attention
        of_q_by_column = self._product_backward(of_columns, attention.width, is_merged=True)
        of_q_by_row = self._product_backward(of_rows, attention.height)
        return self._summed(of_q_by_column, of_q_by_row)

    def _summed(self, *parts: Block) -> Block:
        of_q = self._memory.allocate(GRADIENTS, self._attention.key_bytes)
        self._memory.free(*parts)
        return of_q

    def _product(self, kqv: Block, length: Column) -> Block:
        """The logits of one dimension, its heads and images not yet first."""
        attention, memory = self._attention, self._memory
        table = memory.allocate(POSITION_LOGITS, self._table_bytes(length))
        queries = queries_by_position(attention, memory, kqv)
        result = memory.allocate(POSITION_LOGITS, attention.queries * length * attention.item)
        if attention.trains:
            self._saved += [queries, table]
        else:
            memory.free(queries, table)
        return result

    def _product_backward(
        self, gradient: Block, length: Column, *, is_merged: bool = False
    ) -> Block:
        """The gradient of q from one dimension; a reference to the gradient given goes."""
        memory = self._memory
        if not (is_merged or self._attention.has_one_map):
            memory.free(gradient)
            gradient = memory.allocate(GRADIENTS, gradient.size)
        of_table = memory.allocate(GRADIENTS, self._table_bytes(length))
        of_q = memory.allocate(GRADIENTS, self._attention.key_bytes)
        memory.free(gradient, self._saved.pop(), self._saved.pop(), of_table)
        return of_q

    def _table_bytes(self, length: Column) -> Column:
        """A Toeplitz table (L, dk/Nh, L)."""
        return length * length * self._attention.key_depth * self._attention.item
