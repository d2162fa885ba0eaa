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

OPERANDS = 768
"""Bytes in which each thread names the operands of its products."""

ALIGNMENT = 64
"""Bytes added to each copy of an operand so that it can begin where a cache line does."""


class LogitsProduct:
    """q k^T of all heads: the logits, and later the gradients of q and k."""

    def __init__(self, attention: Attention, memory: Timeline, kqv: Block) -> None:
        self._attention, self._memory = attention, memory
        size = attention.key_bytes
        self._q, self._k = (_merged(attention, memory, kqv, size) for _ in "qk")
        self.result = memory.allocate(LOGITS, attention.map_bytes, is_map=True)
        copies = [memory.allocate(WORKSPACE, _copy(attention, size)) for _ in "qk"]
        memory.scratch(WORKSPACE, logits_scratch(attention))
        memory.free(*copies)
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
        size = attention.value_bytes
        self._v = _merged(attention, memory, kqv, size)
        self.result = memory.allocate(OUTPUT, size)
        copy = memory.allocate(WORKSPACE, _copy(attention, size))
        memory.scratch(WORKSPACE, values_scratch(attention))
        memory.free(copy)
        if not attention.trains:
            memory.free(self._v)

    def backward(self, gradient: Block) -> tuple[Block, Block]:
        """The gradients of weights and v, from that of the result, which is freed."""
        attention, memory = self._attention, self._memory
        of_v = memory.allocate(GRADIENTS, attention.value_bytes)
        of_weights = memory.allocate(GRADIENTS, attention.map_bytes, is_map=True)
        copy = memory.allocate(WORKSPACE, _copy(attention, attention.value_bytes))
        memory.scratch(WORKSPACE, gradient_scratch(attention))
        memory.free(copy, gradient, self._v)
        return of_weights, of_v


def _merged(attention: Attention, memory: Timeline, kqv: Block, size: Column) -> Block:
    """What a product reads: a part of kqv itself where heads merge, else a copy of that part."""
    return memory.keep(kqv) if attention.merges_heads else memory.allocate(KQV, size)


def _copy(attention: Attention, size: Column) -> Column:
    """Bytes of an operand that a half-precision product on the CPU makes contiguous for a moment.

    oneDNN's product takes matrices that lie one behind the other. Those of a single head do not:
    between two images lie the other parts of kqv.
    """
    lies_apart = _is_half_on_cpu(attention) and attention.is_single_head
    return size if lies_apart and not attention.is_single_image else np.zeros_like(size)


def logits_scratch(attention: Attention) -> Column:
    """Bytes that q k^T takes for a moment."""
    return _scratch(attention, attention.tokens, attention.key_depth, _is_turned(attention))


def gradient_scratch(attention: Attention) -> Column:
    """Bytes that the gradient of the weights takes for a moment: that of the result times v^T."""
    is_turned = not attention.is_single_head
    return _scratch(attention, attention.tokens, attention.value_depth, is_turned)


def values_scratch(attention: Attention) -> Column:
    """Bytes that weights times v take for a moment."""
    return _scratch(attention, attention.value_depth, attention.tokens, False)


def _is_turned(attention: Attention) -> bool:
    """Whether channels are the rows of q in memory: so they are in kqv, of which it is a part.

    Copies are not: neither those of several images, nor that of a single map, which torch makes
    because what it sees as the distance to the next map is not what it expects.
    """
    return attention.is_single_image and not attention.is_single_head


def _scratch(attention: Attention, columns: Column, depth: Column, is_turned: bool) -> Column:
    """Bytes that a product of N rows takes: on the CPU, in half precision, for each thread.

    A block of sums in single precision, a panel of the second operand and, where rows and columns
    of the first are exchanged in memory, a block of that. A single column is a product of a matrix
    and a vector, which needs no panel.
    """
    if not _is_half_on_cpu(attention):
        return np.zeros_like(columns)
    rows = _block(attention.tokens)
    padded = np.minimum(padded_to(depth, DEPTH), MOST_DEPTH)
    size = rows * np.minimum(columns, PANEL) * SINGLE + OPERANDS
    size = size + np.where(columns > 1, padded * PANEL * HALF + ALIGNMENT, 0)
    if is_turned:
        size = size + np.where((columns > 1) & (depth > 1), rows * padded * HALF + ALIGNMENT, 0)
    total: Column = size * attention.execution.threads
    return total


def _block(length: Column) -> Column:
    """Rows of one block, when a length is split evenly into as few blocks as there can be."""
    return parts_of(length, parts_of(length, BLOCK))


def _is_half_on_cpu(attention: Attention) -> bool:
    execution = attention.execution
    return execution.on_cpu and execution.is_half
