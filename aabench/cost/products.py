"""Products: the blocks of q k^T and of weights times v, which every form over full maps has alike."""

from __future__ import annotations

import numpy as np

from aabench.cost.attention import Attention
from aabench.cost.columns import Column
from aabench.cost.execution import HALF, SINGLE
from aabench.cost.timeline import GRADIENTS, KQV, LOGITS, OUTPUT, WORKSPACE, Block, Timeline

TILE_ROWS = 64
"""Rows of the tiles that oneDNN's half-precision products work in."""

TILE_COLUMNS = 256
"""Most columns of such a tile."""

LANES = 16
"""Numbers to which such products pad their depth."""


class LogitsProduct:
    """q k^T of all heads: the logits, and later the gradients of q and k."""

    def __init__(self, attention: Attention, memory: Timeline, q: Block, kqv: Block) -> None:
        self._attention, self._memory = attention, memory
        self._q = _merged(memory, q, attention.key_bytes, attention.merges_query_heads)
        self._k = _merged(memory, kqv, attention.key_bytes, attention.merges_heads)
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
        self._v = _merged(memory, kqv, attention.value_bytes, attention.merges_heads)
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


def _merged(memory: Timeline, block: Block, size: Column, merges: bool) -> Block:
    """What a product reads: the block itself where its heads merge, else a copy of that part of it."""
    return memory.keep(block) if merges else memory.allocate(KQV, size)


def logits_scratch(attention: Attention) -> Column:
    """Bytes that q k^T takes for a moment: on the CPU, in half precision, a tile of sums a thread."""
    tile = TILE_ROWS * np.minimum(attention.tokens, TILE_COLUMNS) * SINGLE
    return _for_threads(attention, tile)


def values_scratch(attention: Attention) -> Column:
    """Bytes that weights times v take for a moment: likewise, tiles of weights, the values, sums."""
    depth = -(-attention.value_depth // LANES) * LANES
    tile = TILE_ROWS * np.minimum(attention.tokens, TILE_COLUMNS) * HALF
    return _for_threads(
        attention, tile + attention.tokens * depth * HALF + TILE_ROWS * depth * SINGLE
    )


def _for_threads(attention: Attention, size: Column) -> Column:
    execution = attention.execution
    return size * (execution.threads if execution.on_cpu and execution.is_half else 0)
