"""The closed form of `materialized`: the paper's skew, each axis repeated into a full map."""

from __future__ import annotations

from aabench.cost.attention import Attention, AttentionForm, Gradients, Macs, Telling, plain_macs
from aabench.cost.columns import Column
from aabench.cost.products import LogitsProduct, ValuesProduct
from aabench.cost.row_column_logits import offset_macs, queries_by_position
from aabench.cost.timeline import (
    GRADIENTS,
    POSITION_LOGITS,
    SOFTMAX,
    Block,
    Timeline,
)


class MaterializedForm(AttentionForm):
    """Four maps at most: the logits, one axis done, the other repeated and then copied into order."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """With a single channel a head there is no order to change."""
        return attention.has_scalar_values

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """Q k^T, queries times all 2L-1 offsets of either axis, weights times v."""
        macs = {"logits": plain_macs(attention.key_macs, attention)}
        if attention.has_tables:
            offsets = 2 * attention.height - 1 + 2 * attention.width - 1
            macs["position logits"] = offset_macs(attention, offsets)
        macs["values"] = plain_macs(attention.value_macs, attention)
        return macs

    def memory(self, attention: Attention, memory: Timeline, kqv: Block) -> Telling:
        """The maps in the order in which they come and go."""
        size = attention.map_bytes
        logits = LogitsProduct(attention, memory, kqv)
        summed = [logits.result]
        axes: list[_Axis] = []
        if attention.has_tables:
            axes = [
                _Axis(attention, memory, kqv, attention.height, attention.width),
                _Axis(attention, memory, kqv, attention.width, attention.height),
            ]
            summed += [axis.logits for axis in axes]
        weights = memory.allocate(SOFTMAX, size, is_map=True)
        values = ValuesProduct(attention, memory, kqv)
        memory.free(*summed)
        if not attention.trains:
            memory.free(weights)

        gradient = yield values.result

        of_weights, of_v = values.backward(gradient)
        of_logits = memory.allocate(GRADIENTS, size, is_map=True)
        memory.free(of_weights, weights)
        of_q_parts = [axis.backward() for axis in reversed(axes)]
        if of_q_parts:
            of_q_by_position = memory.allocate(GRADIENTS, attention.key_bytes)
            memory.free(*of_q_parts)
        of_q, of_k = logits.backward()
        memory.free(of_logits)
        if of_q_parts:
            memory.free(of_q_by_position)
        return Gradients(of_q, of_k, of_v)


class _Axis:
    """The relative logits of one axis of length L: by offset, skewed to keys, repeated over the other.

    Attributes:
        logits: the full map, copied into the order of the logits.

    """

    def __init__(
        self, attention: Attention, memory: Timeline, kqv: Block, length: Column, other: Column
    ) -> None:
        self._attention, self._memory = attention, memory
        lines = attention.batch * attention.heads * other * attention.item
        self._by_offset = lines * length * (2 * length - 1)
        self._padded = lines * length * 2 * length
        self._skewed = lines * (length + 1) * (2 * length - 1)
        self._by_key = lines * length * length
        self._queries = queries_by_position(attention, memory, kqv)
        by_offset = memory.allocate(POSITION_LOGITS, self._by_offset)
        if not attention.trains:
            memory.free(self._queries)
        padded = memory.allocate(POSITION_LOGITS, self._padded)
        skewed = memory.allocate(POSITION_LOGITS, self._skewed)
        memory.free(padded)
        repeated = memory.allocate(POSITION_LOGITS, attention.map_bytes, is_map=True)
        memory.free(by_offset, skewed)
        self.logits = memory.allocate(POSITION_LOGITS, attention.map_bytes, is_map=True)
        memory.free(repeated)

    def backward(self) -> Block:
        """The gradient of q from this axis: the same way back."""
        gradient = self._memory.allocate(GRADIENTS, self._by_key)
        for size in (self._by_offset, self._skewed, self._padded, self._by_offset):
            following = self._memory.allocate(GRADIENTS, size)
            self._memory.free(gradient)
            gradient = following
        of_q = self._memory.allocate(GRADIENTS, self._attention.key_bytes)
        self._memory.free(gradient, self._queries)
        return of_q


FORM = MaterializedForm()
