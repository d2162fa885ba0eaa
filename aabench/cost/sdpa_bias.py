"""The closed form of `sdpa-bias`: the relative logits as one map, a mask of torch's own attention.

Which kernel torch takes decides everything. On the CPU the fused kernel takes no mask that needs a
gradient, so training with tables falls to the math kernel, which holds more maps, and in half
precision holds them in single. On CUDA a fused kernel is assumed; its own scratch is not known.
"""

from __future__ import annotations

import numpy as np

from aabench.cost.attention import Attention, AttentionForm, Gradients, Macs, Telling, plain_macs
from aabench.cost.columns import Column
from aabench.cost.execution import SINGLE
from aabench.cost.fused_kernel import FusedInputs, FusedKernel, fused_macs
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


class SdpaBiasForm(AttentionForm):
    """One map, the mask, where a fused kernel runs; four in the math kernel."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """Fused kernels put heads inside pixels: there is no order to change with a single head.

        Else there is none with a single channel a head.
        """
        if _is_fused(attention):
            return attention.is_single_head
        return attention.has_scalar_values

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """The products at the padded depths; fused backward computes the logits once more."""
        keys, values = (attention.maps * depth for depth in _padded_depths(attention))
        macs = {"logits": plain_macs(keys, attention), "values": plain_macs(values, attention)}
        if _is_fused(attention):
            macs = fused_macs(keys, values, attention)
        if attention.has_tables:
            macs["position logits"] = row_column_macs(attention)
        return macs

    def memory(self, attention: Attention, memory: Timeline, kqv: Block) -> Telling:
        """The mask, then contiguous and padded q, k and v, then the kernel."""
        positions = mask = None
        if attention.has_tables:
            positions = RowColumnLogits(attention, memory, kqv)
            mask = memory.allocate(POSITION_LOGITS, attention.map_bytes, is_map=True)
            memory.free(positions.rows, positions.columns)
        inputs = _kernel_inputs(attention, memory, kqv, mask)
        kernel = (FusedKernel if _is_fused(attention) else _Math)(attention, memory, inputs)

        gradient = yield kernel.result

        of_q, of_k, of_v, of_mask = kernel.backward(gradient)
        if positions is not None and of_mask is not None:
            of_q_by_position = positions.backward()
            memory.free(of_mask, of_q_by_position)
        channels_last = _is_fused(attention) and attention.shows_channels_last
        return Gradients(of_q, of_k, of_v, channels_last=channels_last)


def _kernel_inputs(
    attention: Attention, memory: Timeline, kqv: Block, mask: Block | None
) -> FusedInputs:
    """q, k and v made contiguous and padded; the math kernel's are not padded, and may be so already."""
    key_depth, value_depth = _padded_depths(attention)
    key_size = attention.queries * key_depth * attention.item
    value_size = attention.queries * value_depth * attention.item
    pads = _is_fused(attention)

    def laid_out(size: Column, is_scalar: bool) -> Block:
        # Of several images no part of kqv is in one piece.
        is_contiguous = is_scalar and attention.is_single_image
        return memory.keep(kqv) if is_contiguous and not pads else memory.allocate(KQV, size)

    queries, keys = (laid_out(key_size, attention.has_scalar_keys) for _ in "qk")
    values = laid_out(value_size, attention.has_scalar_values)
    return FusedInputs(queries, keys, values, key_depth, value_depth, mask)


class _Math:
    """torch's unfused attention: products, mask, softmax; half precision is computed in single."""

    def __init__(self, attention: Attention, memory: Timeline, inputs: FusedInputs) -> None:
        self._attention, self._memory = attention, memory
        self._item = SINGLE if attention.execution.on_cpu else attention.item
        self._upcasts = self._item != attention.item
        self._map_size = attention.maps * self._item
        key_size = attention.queries * inputs.key_depth * self._item
        value_size = attention.queries * inputs.value_depth * self._item
        q, k, self._v = inputs.q, inputs.k, inputs.v
        if self._upcasts:
            sizes = (key_size, key_size, value_size)
            q, k, self._v = (memory.allocate(KQV, size) for size in sizes)
        # Both are scaled by the root of the scale, which is 1 here, all the same.
        self._scaled = [memory.allocate(KQV, key_size) for _ in "qk"]
        logits = memory.allocate(LOGITS, self._map_size, is_map=True)
        if self._upcasts and inputs.mask is not None:
            memory.scratch(POSITION_LOGITS, self._map_size, is_map=True)
        self._weights = memory.allocate(SOFTMAX, self._map_size, is_map=True)
        memory.scratch(WORKSPACE, attention.maps)  # which rows are masked throughout: one byte each
        memory.free(logits)
        if self._upcasts:
            # The weights are cast back as well: they are the operator's second output.
            weights = memory.allocate(SOFTMAX, attention.map_bytes, is_map=True)
        self.result = memory.allocate(OUTPUT, value_size)
        if self._upcasts:
            self.result = self._cast(self.result, attention.value_bytes, OUTPUT)
            memory.free(q, k, weights, inputs.v)
        memory.free(inputs.q, inputs.k, *([inputs.mask] if inputs.mask else []))
        if not attention.trains:
            memory.free(*self._scaled, self._weights, self._v)

    def backward(self, gradient: Block) -> tuple[Block, Block, Block, Block | None]:
        """The gradients of q, k, v and the mask, from that of the result, which is freed."""
        attention, memory = self._attention, self._memory
        if self._upcasts:
            gradient = self._cast(gradient, attention.value_bytes // attention.item * self._item)
        of_v = memory.allocate(GRADIENTS, attention.value_bytes // attention.item * self._item)
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

    def _cast(self, block: Block, size: Column, kind: str = GRADIENTS) -> Block:
        """The same tensor in another precision, or scaled."""
        cast = self._memory.allocate(kind, size)
        self._memory.free(block)
        return cast


def _is_fused(attention: Attention) -> bool:
    """Whether a fused kernel takes the case."""
    device_type = attention.execution.device_type
    if device_type == "cpu":
        # A single channel a head throughout, where it is not copied, has a stride that the fused
        # kernel refuses.
        scalar = attention.has_scalar_keys and attention.has_scalar_values
        refused = scalar and attention.is_single_image and not attention.execution.channels_last
        return not refused and not (attention.has_tables and attention.trains)
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


FORM = SdpaBiasForm()
