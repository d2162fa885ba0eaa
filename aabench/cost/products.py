"""Products: the blocks of q k^T and of weights times v, which every form over full maps has alike."""

from __future__ import annotations

import numpy as np

from aabench.cost.attention import Attention
from aabench.cost.columns import Column
from aabench.cost.execution import HALF, SINGLE
from aabench.cost.rounding import padded_to, parts_of
from aabench.cost.timeline import GRADIENTS, KQV, LOGITS, OUTPUT, WORKSPACE, Block, Timeline

BLOCK = 256
"""Most rows or columns of a block of oneDNN's half-precision products on the CPU."""

PANEL = 64
"""Columns of the panels into which they copy their second operand."""

DEPTH = 32
"""Numbers to which they pad the depth of such a panel."""

MOST_DEPTH = 512
"""The deepest panel."""


class LogitsProduct:
    """q k^T of all heads: the logits, and later the gradients of q and k."""

    def __init__(self, attention: Attention, memory: Timeline, kqv: Block) -> None:
        self._attention, self._memory = attention, memory
        self._q, self._k = (_merged(attention, memory, kqv, attention.key_bytes) for _ in "qk")
        self.result = memory.allocate(LOGITS, attention.map_bytes, is_map=True)
        memory.scratch(WORKSPACE, logits_scratch(attention))
        if not attention.trains:
            memory.free(self._q, self._k)

    def backward(self) -> tuple[Block, Block]:
        """The gradients of q and k; the gradient of the logits is the caller's."""
        memory, size = self._memory, self._attention.key_bytes
        of_q, of_k = (memory.allocate(GRADIENTS, size) for _ in "qk")
        memory.free(self._q, self._k)
        return of_q, of_k


class ValuesProduct:
    """Weights times v of all heads: the attended values, and later the gradients of weights and v."""

    def __init__(self, attention: Attention, memory: Timeline, kqv: Block) -> None:
        self._attention, self._memory = attention, memory
        self._v = _merged(attention, memory, kqv, attention.value_bytes)
        self.result = memory.allocate(OUTPUT, attention.value_bytes)
        memory.scratch(WORKSPACE, values_scratch(attention))
        if not attention.trains:
            memory.free(self._v)

    def backward(self, gradient: Block) -> tuple[Block, Block]:
        """The gradients of weights and v, from that of the result, which is freed."""
        attention, memory = self._attention, self._memory
        of_v = memory.allocate(GRADIENTS, attention.value_bytes)
        of_weights = memory.allocate(GRADIENTS, attention.map_bytes, is_map=True)
        memory.scratch(WORKSPACE, logits_scratch(attention))
        memory.free(gradient, self._v)
        return of_weights, of_v


def _merged(attention: Attention, memory: Timeline, kqv: Block, size: Column) -> Block:
    """What a product reads: a part of kqv itself where heads merge, else a copy of that part."""
    return memory.keep(kqv) if attention.merges_heads else memory.allocate(KQV, size)


def logits_scratch(attention: Attention) -> Column:
    """Bytes that q k^T takes for a moment: on the CPU, in half precision, a block of sums a thread."""
    depth = np.minimum(padded_to(attention.key_depth, DEPTH), MOST_DEPTH)
    sums = _block(attention.tokens) * PANEL * SINGLE
    return _for_threads(attention, sums + (_block(attention.tokens) + PANEL) * depth * HALF)


def values_scratch(attention: Attention) -> Column:
    """Bytes that weights times v take for a moment: likewise, a panel of values and sums.

    A single value channel is a product of a matrix and a vector, which takes nothing.
    """
    depth = np.minimum(padded_to(attention.tokens, DEPTH), MOST_DEPTH)
    sums = _block(attention.tokens) * attention.value_depth * SINGLE
    size = sums + depth * PANEL * HALF
    return _for_threads(attention, np.where(attention.value_depth > 1, size, 0))


def _block(length: Column) -> Column:
    """Rows of one block, when a length is split evenly into as few blocks as there can be."""
    return parts_of(length, parts_of(length, BLOCK))


def _for_threads(attention: Attention, size: Column) -> Column:
    execution = attention.execution
    return size * (execution.threads if execution.on_cpu and execution.is_half else 0)
