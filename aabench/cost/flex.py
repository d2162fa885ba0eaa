"""The closed form of `flex`: padded copies of q, k and v, and the position logits in single precision.

It follows what the form allocates on CUDA around FlexAttention's compiled kernels, whose own scratch
is not known. It was never checked against a card's allocator. On the CPU torch generates code whose
tiles depend on the processor and on torch's version, and the memory is not known.
"""

from __future__ import annotations

import numpy as np

from aabench.cost.attention import Attention, AttentionForm, Gradients, Macs, Telling
from aabench.cost.columns import Column
from aabench.cost.execution import SINGLE
from aabench.cost.row_column_logits import RowColumnLogits, row_column_macs
from aabench.cost.timeline import (
    GRADIENTS,
    KQV,
    OUTPUT,
    POSITION_LOGITS,
    SOFTMAX,
    Block,
    Timeline,
)

SMALLEST_DEPTH = 16
"""Depths are padded to a power of two, this one at least."""


class FlexForm(AttentionForm):
    """No full map: the kernels add the position logits to a tile at a time."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """The output has its heads outside the pixels: one head, or one channel a head, are in order."""
        return attention.is_single_head or attention.has_scalar_values

    def knows_memory(self, device_type: str) -> bool:
        """On CUDA alone."""
        return device_type == "cuda"

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """Both products at the padded depths; the backward kernels compute logits and weights anew.

        The gradients of q and those of k and v come from separate passes over the map, each with
        the logits and the gradients of the weights.
        """
        keys, values = (attention.maps * depth for depth in _padded_depths(attention))
        trains = attention.trains
        macs = {"logits": Macs(keys, keys * (5 if trains else 1))}
        if attention.has_tables:
            macs["position logits"] = row_column_macs(attention)
        macs["values"] = Macs(values, values * (4 if trains else 1))
        return macs

    def memory(self, attention: Attention, memory: Timeline, kqv: Block) -> Telling:
        """Positions in single precision, padded q, k and v, output and log-sum-exp."""
        positions = _Positions(attention, memory, kqv) if attention.has_tables else None
        key_size, value_size = (
            attention.queries * depth * attention.item for depth in _padded_depths(attention)
        )
        inputs = [memory.allocate(KQV, size) for size in (key_size, key_size, value_size)]
        result = memory.allocate(OUTPUT, value_size)
        log_sums = memory.allocate(SOFTMAX, attention.queries * SINGLE)
        saved = [*inputs, log_sums, *(positions.blocks if positions else [])]
        if attention.trains:
            saved.append(memory.keep(result))
        else:
            memory.free(*saved)

        gradient = yield result

        padded = memory.allocate(GRADIENTS, value_size)
        memory.free(gradient)
        delta = memory.allocate(GRADIENTS, log_sums.size)
        wide = [memory.allocate(GRADIENTS, block.size) for block in inputs]
        of_positions = positions.gradients() if positions else None
        memory.free(padded, delta, *saved)
        sizes = (attention.key_bytes, attention.key_bytes, attention.value_bytes)
        of_q, of_k, of_v = (
            _narrowed(memory, block, size) for block, size in zip(wide, sizes, strict=True)
        )
        if positions and of_positions:
            memory.free(positions.backward(of_positions))
        return Gradients(of_q, of_k, of_v)


class _Positions:
    """The position logits and their gradients, which the kernels want in single precision.

    Attributes:
        blocks: a and b as the kernels read them.

    """

    def __init__(self, attention: Attention, memory: Timeline, kqv: Block) -> None:
        self._attention, self._memory = attention, memory
        self._logits = RowColumnLogits(attention, memory, kqv)
        computed = [self._logits.rows, self._logits.columns]
        self.blocks = computed
        if attention.execution.is_half:
            self.blocks = [
                memory.allocate(POSITION_LOGITS, self._single(each)) for each in computed
            ]
            memory.free(*computed)

    def gradients(self) -> list[Block]:
        """Those of a and b, gathered by atomic additions."""
        return [self._memory.allocate(GRADIENTS, block.size) for block in self.blocks]

    def backward(self, gathered: list[Block]) -> Block:
        """The gradient of q by its positions; those of a and b are freed."""
        memory = self._memory
        of_rows, of_columns = gathered
        if self._attention.execution.is_half:
            of_rows, of_columns = (
                _narrowed(memory, block, block.size // SINGLE * self._attention.item)
                for block in gathered
            )
        return self._logits.backward_of(of_rows, of_columns)

    def _single(self, block: Block) -> Column:
        return block.size // self._attention.item * SINGLE


def _narrowed(memory: Timeline, wide: Block, size: Column) -> Block:
    """A gradient without its padding, or in half precision, in place of the wider one."""
    narrow = memory.allocate(GRADIENTS, size)
    memory.free(wide)
    return narrow


def _padded_depths(attention: Attention) -> tuple[Column, Column]:
    """The depths of q and k, and of v, as the kernels want them."""
    return _power_of_two(attention.key_depth), _power_of_two(attention.value_depth)


def _power_of_two(depth: Column) -> Column:
    """The next power of two, 16 or more."""
    padded: Column = np.full_like(depth, SMALLEST_DEPTH)
    for _ in range(64):
        small = padded < depth
        if not np.any(small):
            return padded
        padded = np.where(small, padded * 2, padded)
    raise AssertionError("no depth has more than 64 bits")


FORM = FlexForm()
"""What the catalogue names."""
