"""The closed form of `sdpa-bias`: the relative logits as one map, a mask of torch's own attention.

Which kernel torch takes decides everything. On the CPU the fused kernel takes no mask that needs a
gradient, so training with tables falls to the math kernel, which holds more maps, and in half
precision holds them in single. On CUDA a fused kernel is assumed; its own scratch is not known.
"""

from __future__ import annotations

import numpy as np

from aabench.cost.attention import Attention, Gradients, Macs, Telling, plain_macs
from aabench.cost.columns import Column
from aabench.cost.execution import HALF, SINGLE
from aabench.cost.rounding import padded_to
from aabench.cost.row_column_logits import RowColumnLogits, row_column_macs
from aabench.cost.timeline import (
    GRADIENTS,
    KQV,
    LOGITS,
    OUTPUT,
    POSITION_LOGITS,
    SOFTMAX,
    WORKSPACE,
    Block,
    Timeline,
)

KEYS_IN_A_TILE = 512
"""Most keys that the CPU's fused kernel looks at together."""


class SdpaBiasForm:
    """One map, the mask, where a fused kernel runs; four in the math kernel."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """With a single channel a head there is no order to change, but fused kernels give another."""
        return attention.has_scalar_values and not _is_fused(attention)

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """The products at the padded depths; fused backward computes the logits once more."""
        keys, values = _padded_depths(attention)
        logits = plain_macs(attention.maps * keys, attention)
        if attention.trains and _is_fused(attention):
            logits = Macs(logits.forward, logits.forward * 4)
        macs = {"logits": logits}
        if attention.has_tables:
            macs["position logits"] = row_column_macs(attention)
        macs["values"] = plain_macs(attention.maps * values, attention)
        return macs

    def memory(self, attention: Attention, memory: Timeline, q: Block, kqv: Block) -> Telling:
        """The mask, then contiguous and padded q, k and v, then the kernel."""
        positions = mask = None
        if attention.has_tables:
            positions = RowColumnLogits(attention, memory, q)
            mask = memory.allocate(POSITION_LOGITS, attention.map_bytes, is_map=True)
            memory.free(positions.rows, positions.columns)
        padded = _Padded(attention, memory, q, kqv)
        kernel = _Fused if _is_fused(attention) else _Math
        attended = kernel(attention, memory, padded, mask)

        gradient = yield attended.result

        of_q, of_k, of_v, of_mask = attended.backward(gradient)
        if positions is not None and of_mask is not None:
            of_q_by_position = positions.backward()
            memory.free(of_mask, of_q_by_position)
        return Gradients(of_q, of_k, of_v, channels_last=_is_fused(attention))


class _Padded:
    """q, k and v made contiguous and padded to the kernel's depths."""

    def __init__(self, attention: Attention, memory: Timeline, q: Block, kqv: Block) -> None:
        keys, values = _padded_depths(attention)
        self.key_size = attention.queries * keys * attention.item
        self.value_size = attention.queries * values * attention.item
        pads = _is_fused(attention)
        if attention.has_scalar_keys and not pads:
            self.q, self.k = memory.keep(q), memory.keep(kqv)
        else:
            self.q, self.k = (memory.allocate(KQV, self.key_size) for _ in "qk")
        if attention.has_scalar_values and not pads:
            self.v = memory.keep(kqv)
        else:
            self.v = memory.allocate(KQV, self.value_size)


class _Fused:
    """A kernel that keeps its inputs, its output and the log-sum-exp of each query."""

    def __init__(
        self, attention: Attention, memory: Timeline, padded: _Padded, mask: Block | None
    ) -> None:
        self._attention, self._memory, self._padded = attention, memory, padded
        self._mask = mask
        self.result = memory.allocate(OUTPUT, padded.value_size)
        self._log_sums = memory.allocate(SOFTMAX, attention.queries * SINGLE)
        memory.scratch(WORKSPACE, _tile_bytes(attention, forward=True))
        self._inputs = [padded.q, padded.k, padded.v] + ([mask] if mask else [])
        if attention.trains:
            memory.keep(self.result)
        else:
            memory.free(self._log_sums, *self._inputs)

    def backward(self, gradient: Block) -> tuple[Block, Block, Block, Block | None]:
        """The gradients of q, k, v and the mask, from that of the result, which is freed."""
        attention, memory, padded = self._attention, self._memory, self._padded
        upstream = memory.allocate(GRADIENTS, padded.value_size)
        memory.free(gradient)
        of_q, of_k = (memory.allocate(GRADIENTS, padded.key_size) for _ in "qk")
        of_v = memory.allocate(GRADIENTS, padded.value_size)
        of_mask = None
        if self._mask is not None:
            of_mask = memory.allocate(GRADIENTS, attention.map_bytes, is_map=True)
        copies = []
        if not attention.is_single_head:  # the kernel wants its heads inside the pixels
            copies = [memory.allocate(GRADIENTS, padded.value_size)]
        memory.scratch(WORKSPACE, _tile_bytes(attention, forward=False))
        memory.free(*copies, upstream, self.result, self._log_sums, *self._inputs)
        return of_q, of_k, of_v, of_mask


class _Math:
    """torch's unfused attention: products, mask, softmax; half precision is computed in single."""

    def __init__(
        self, attention: Attention, memory: Timeline, padded: _Padded, mask: Block | None
    ) -> None:
        self._attention, self._memory = attention, memory
        self._item = SINGLE if attention.execution.on_cpu else attention.item
        self._upcasts = self._item != attention.item
        self._map_size = attention.maps * self._item
        q, k, v = padded.q, padded.k, padded.v
        if self._upcasts:
            q, k, v = (memory.allocate(KQV, self._wide(block.size)) for block in (q, k, v))
        # Both are scaled by the root of the scale, which is 1 here, all the same.
        self._scaled = [memory.allocate(KQV, self._wide(padded.key_size)) for _ in "qk"]
        logits = memory.allocate(LOGITS, self._map_size, is_map=True)
        if self._upcasts and mask is not None:
            memory.scratch(POSITION_LOGITS, self._map_size, is_map=True)
        self._weights = memory.allocate(SOFTMAX, self._map_size, is_map=True)
        memory.scratch(WORKSPACE, attention.maps)  # which rows are masked throughout: one byte each
        memory.free(logits)
        self._v = v
        self.result = self._values(padded, (q, k, v))
        memory.free(padded.q, padded.k, *([mask] if mask else []))
        if self._upcasts:
            memory.free(padded.v)

    def _values(self, padded: _Padded, wide: tuple[Block, Block, Block]) -> Block:
        memory, attention = self._memory, self._attention
        if not self._upcasts:
            return memory.allocate(OUTPUT, padded.value_size)
        # The weights are cast back as well: they are the operator's second output.
        weights = memory.allocate(SOFTMAX, attention.map_bytes, is_map=True)
        result = memory.allocate(OUTPUT, self._wide(padded.value_size))
        cast = memory.allocate(OUTPUT, padded.value_size)
        memory.free(result, wide[0], wide[1], weights)
        return cast

    def backward(self, gradient: Block) -> tuple[Block, Block, Block, Block | None]:
        """The gradients of q, k, v and the mask, from that of the result, which is freed."""
        attention, memory = self._attention, self._memory
        if self._upcasts:
            gradient = self._cast(gradient, self._wide(gradient.size))
        of_v = memory.allocate(GRADIENTS, self._wide(attention.value_bytes))
        of_weights = memory.allocate(GRADIENTS, self._map_size, is_map=True)
        memory.free(gradient, self._v)
        of_logits = memory.allocate(GRADIENTS, self._map_size, is_map=True)
        memory.free(of_weights, self._weights)
        of_mask = memory.keep(of_logits)
        if self._upcasts:
            memory.free(of_mask)
            of_mask = memory.allocate(GRADIENTS, attention.map_bytes, is_map=True)
        of_keys = [memory.allocate(GRADIENTS, block.size) for block in self._scaled]
        memory.free(of_logits, *self._scaled)
        of_q, of_k = (self._cast(block, block.size) for block in of_keys)
        if self._upcasts:
            of_v = self._cast(of_v, attention.value_bytes)
            of_q, of_k = (self._cast(block, attention.key_bytes) for block in (of_q, of_k))
        return of_q, of_k, of_v, of_mask

    def _wide(self, size: Column) -> Column:
        return size // self._attention.item * self._item

    def _cast(self, block: Block, size: Column) -> Block:
        """The same gradient in another precision, or scaled."""
        cast = self._memory.allocate(GRADIENTS, size)
        self._memory.free(block)
        return cast


def _is_fused(attention: Attention) -> bool:
    """Whether a fused kernel takes the case."""
    device_type = attention.execution.device_type
    if device_type == "cpu":
        # A single channel a head throughout has a stride that the fused kernel refuses.
        scalar = attention.has_scalar_keys and attention.has_scalar_values
        scalar = scalar and not attention.execution.channels_last
        return not scalar and not (attention.has_tables and attention.trains)
    return device_type == "cuda"


def _padded_depths(attention: Attention) -> tuple[Column, Column]:
    """The depths of k and of v that the fused kernels want; the math kernel takes any."""
    keys, values = attention.key_depth, attention.value_depth
    if not _is_fused(attention):
        return keys, values
    if attention.execution.on_cpu:
        common = np.maximum(keys, values)
        return common, common
    step = 8 if attention.execution.is_half else 4
    return padded_to(keys, step), padded_to(values, step)


def _tile_bytes(attention: Attention, *, forward: bool) -> Column:
    """Bytes of the tiles of the CPU's fused kernel: one set for each thread."""
    execution, tokens = attention.execution, attention.tokens
    if not execution.on_cpu:
        return np.zeros_like(tokens)
    rows = np.where(tokens >= 768, 256, np.where(tokens >= 192, 64, 32))
    rows = np.minimum(rows, tokens)
    tile = rows * np.minimum(tokens, KEYS_IN_A_TILE)
    halves = tile * HALF if execution.is_half else 0
    if forward:
        depth = _padded_depths(attention)[0]
        size: Column = (tile + 2 * rows + rows * depth) * SINGLE + halves
    else:
        size = 2 * (tile * SINGLE + halves)
    return execution.threads * size


FORM = SdpaBiasForm()
