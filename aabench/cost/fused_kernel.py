"""The fused kernel: torch's attention that stores no weights, as far as its memory is known.

It keeps its inputs, its output and the log-sum-exp of each query. On the CPU every thread works in
tiles of its own; what kernels on CUDA work in is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aabench.cost.attention import Attention, Macs, plain_macs
from aabench.cost.columns import Column
from aabench.cost.execution import HALF, SINGLE
from aabench.cost.timeline import GRADIENTS, OUTPUT, SOFTMAX, WORKSPACE, Block, Timeline

KEYS_IN_A_TILE = 512
"""Most keys that the CPU's kernel looks at together."""

QUERIES_IN_A_TILE = ((768, 256), (192, 64), (0, 32))
"""From so many queries on, it looks at so many together."""

PANEL = 64
"""Columns of the panels into which half-precision products copy an operand."""


@dataclass(frozen=True, slots=True, eq=False)
class FusedInputs:
    """What the kernel is given: contiguous, padded, and no longer needed by anything else.

    Attributes:
        q: (B, Nh, N, E).
        k: (B, Nh, N, E).
        v: (B, Nh, N, Ev).
        key_depth: E.
        value_depth: Ev.
        mask: (B, Nh, N, N), or None.

    """

    q: Block
    k: Block
    v: Block
    key_depth: Column
    value_depth: Column
    mask: Block | None = None

    @property
    def blocks(self) -> list[Block]:
        """All of them."""
        return [self.q, self.k, self.v, *([self.mask] if self.mask else [])]


class FusedKernel:
    """The kernel's two passes, told on a timeline.

    Attributes:
        result: (B, Nh, N, Ev); its first channels are the attended values.

    """

    def __init__(self, attention: Attention, memory: Timeline, inputs: FusedInputs) -> None:
        self._attention, self._memory, self._inputs = attention, memory, inputs
        self.result = memory.allocate(OUTPUT, inputs.v.size)
        self._log_sums = memory.allocate(SOFTMAX, attention.queries * SINGLE)
        memory.scratch(WORKSPACE, self._tile_bytes(forward=True))
        if attention.trains:
            memory.keep(self.result)
        else:
            memory.free(self._log_sums, *inputs.blocks)

    def backward(self, gradient: Block) -> tuple[Block, Block, Block, Block | None]:
        """The gradients of q, k, v and the mask, from that of the attended values, which is freed."""
        attention, memory, inputs = self._attention, self._memory, self._inputs
        # Where values are padded, so is their gradient, before that is freed; else it is the same.
        is_padded = inputs.value_depth != attention.value_depth
        padded = memory.allocate(GRADIENTS, np.where(is_padded, inputs.v.size, 0))
        memory.free(gradient)
        unpadded = memory.allocate(GRADIENTS, np.where(is_padded, 0, inputs.v.size))
        of_q, of_k, of_v = (
            memory.allocate(GRADIENTS, block.size) for block in (inputs.q, inputs.k, inputs.v)
        )
        of_mask = None
        if inputs.mask is not None:
            of_mask = memory.allocate(GRADIENTS, attention.map_bytes, is_map=True)
        copy = memory.allocate(GRADIENTS, self._copied_gradient(is_padded))
        tiles = memory.allocate(WORKSPACE, self._tile_bytes(forward=False))
        memory.scratch(WORKSPACE, self._transposed_bytes())
        memory.free(tiles, copy, padded, unpadded, self.result, self._log_sums, *inputs.blocks)
        return of_q, of_k, of_v, of_mask

    def _copied_gradient(self, is_padded: NDArray[np.bool_]) -> Column:
        """Bytes of the result's gradient as the kernel copies it.

        It wants channels inside heads inside pixels. The gradient of a single map has its pixels
        inside the channels, as the convolution before it gave it, unless it was padded.
        """
        attention, size = self._attention, self._inputs.v.size
        if not attention.is_single_head:
            return size
        is_turned = attention.is_single_image and not attention.has_scalar_values
        if not is_turned or attention.execution.channels_last or not attention.execution.on_cpu:
            return np.zeros_like(size)
        return np.where(is_padded, 0, size)

    def _tile_bytes(self, *, forward: bool) -> Column:
        """Bytes of the tiles of all CPU threads; backward has one of weights and one of gradients."""
        execution, tokens = self._attention.execution, self._attention.tokens
        if not execution.on_cpu:
            return np.zeros_like(tokens)
        rows, keys = self._tile()
        tile = rows * keys
        halves = tile * HALF if execution.is_half else 0
        if forward:
            results = rows * (self._inputs.key_depth + 2)
            of_thread: Column = (tile + results) * SINGLE + halves
        else:
            of_thread = 2 * (tile * SINGLE + halves)
        return of_thread * execution.threads

    def _transposed_bytes(self) -> Column:
        """Bytes in which a product of two half-precision tiles transposes one and sums, for a moment."""
        execution = self._attention.execution
        rows, keys = self._tile()
        if not (execution.on_cpu and execution.is_half):
            return np.zeros_like(rows)
        sums = np.minimum(self._inputs.key_depth, PANEL) * SINGLE
        tile = rows * keys * HALF
        of_keys = tile + keys * sums + 2 * PANEL * rows * HALF
        of_queries = tile + rows * sums + PANEL * keys * HALF
        largest: Column = np.maximum(of_keys, of_queries)
        return largest

    def _tile(self) -> tuple[Column, Column]:
        """Queries and keys of a tile."""
        tokens = self._attention.tokens
        rows = np.select(
            [tokens >= least for least, _ in QUERIES_IN_A_TILE],
            [np.minimum(together, tokens) for _, together in QUERIES_IN_A_TILE],
        )
        return rows, np.minimum(tokens, KEYS_IN_A_TILE)


def fused_macs(keys: Column, values: Column, attention: Attention) -> dict[str, Macs]:
    """MACs of the kernel's two products: backward needs two more of each, and the logits again.

    On the meta device no kernel runs: torch takes the attention apart there, and computes nothing
    twice.
    """
    logits, weighted = plain_macs(keys, attention), plain_macs(values, attention)
    if attention.trains and attention.execution.device_type != "meta":
        logits = Macs(keys, keys * 4)
    return {"logits": logits, "values": weighted}
