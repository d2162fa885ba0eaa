"""The closed form of `factored`: position logits as extra columns of q and k for a fused kernel.

No map is stored: q and k grow to E = dk/Nh + H + W columns, padded. On the CPU the kernel wants
values as deep; on CUDA the flash kernel does too, where it is the one that runs: that depends on the
card, and where no card is named, flash is assumed wherever E is small enough for it.
"""

from __future__ import annotations

import numpy as np

from aabench.cost.attention import Attention, AttentionForm, Gradients, Macs, Telling
from aabench.cost.columns import Column
from aabench.cost.cuda_kernels import fused_depths
from aabench.cost.fused_kernel import FusedInputs, FusedKernel, fused_macs
from aabench.cost.rounding import padded_to
from aabench.cost.row_column_logits import RowColumnLogits, row_column_macs
from aabench.cost.timeline import GRADIENTS, KQV, POSITION_LOGITS, Block, Timeline

DEPTH_STEP = 8
"""E is padded to a multiple of this."""

VALUE_STEP_BYTES = 16
"""Values of a depth of their own are padded to a multiple of so many bytes."""

WIDEST_FLASH = 256
"""The largest E that the flash kernel takes on CUDA."""


class FactoredForm(AttentionForm):
    """No full map at any time: E numbers a query and a key."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """The kernel puts heads inside pixels: there is no order to change with a single head."""
        return attention.is_single_head

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """Both products at the padded depths, and the positions by rows and columns."""
        keys, values = (attention.maps * depth for depth in _padded_depths(attention))
        macs = fused_macs(keys, values, attention)
        if attention.has_tables:
            macs["position logits"] = row_column_macs(attention)
        return macs

    def memory(self, attention: Attention, memory: Timeline, kqv: Block) -> Telling:
        """Positions, then q, k and v with their extra columns, then the kernel."""
        key_depth, value_depth = _padded_depths(attention)
        positions, spread = None, []
        if attention.has_tables:
            positions = RowColumnLogits(attention, memory, kqv)
            sides = (attention.height + attention.width) * attention.tokens * attention.item
            indicators = memory.allocate(POSITION_LOGITS, sides)
            spread = [positions.rows, positions.columns, indicators]
        queries, keys = (
            memory.allocate(KQV, attention.queries * key_depth * attention.item) for _ in "qk"
        )
        values = memory.allocate(KQV, attention.queries * value_depth * attention.item)
        inputs = FusedInputs(queries, keys, values, key_depth, value_depth)
        kernel = FusedKernel(attention, memory, inputs)
        memory.free(*spread)

        gradient = yield kernel.result

        wide_q, wide_k, wide_v, _ = kernel.backward(gradient)
        if positions is not None:
            of_q = positions.backward()
            memory.free(wide_q)
        else:
            of_q = wide_q
        of_k = _narrowed(memory, wide_k, attention.key_bytes)
        of_v = _narrowed(memory, wide_v, attention.value_bytes)
        # Of several heads with several channels each, a part of a wider tensor has to be copied.
        keys_stay = attention.has_scalar_keys | (key_depth == attention.key_depth)
        values_stay = attention.has_scalar_values | (value_depth == attention.value_depth)
        stay = attention.is_single_head | (keys_stay & values_stay)
        return Gradients(of_q, of_k, of_v, channels_last=attention.shows_channels_last & stay)


def _narrowed(memory: Timeline, wide: Block, size: Column) -> Block:
    """The gradient without the extra columns, laid out for the split that comes next."""
    narrow = memory.allocate(GRADIENTS, size)
    memory.free(wide)
    return narrow


def _padded_depths(attention: Attention) -> tuple[Column, Column]:
    """E of q and k, and the depth of v, as the kernel wants them."""
    sides = attention.height + attention.width if attention.has_tables else 0
    keys = padded_to(attention.key_depth + sides, DEPTH_STEP)
    common = np.maximum(keys, padded_to(attention.value_depth, DEPTH_STEP))
    if attention.execution.device_type != "cuda":
        return common, common
    if attention.execution.capability is not None:
        return fused_depths(attention)
    own = padded_to(attention.value_depth, VALUE_STEP_BYTES // attention.item)
    if not attention.execution.is_half:
        return keys, own
    flash = keys <= WIDEST_FLASH
    return np.where(flash, common, keys), np.where(flash, common, own)


FORM = FactoredForm()
