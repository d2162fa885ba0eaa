"""Random attentions as the layer makes them."""

import torch
from torch import Tensor

from aabench.layers.attention_inputs import AttentionInputs


def random_inputs(
    batch: int,
    heads: int,
    resolution: tuple[int, int],
    key_depth: int,
    value_depth: int,
    *,
    tables: bool = True,
    dtype: torch.dtype = torch.float64,
    requires_grad: bool = False,
) -> AttentionInputs:
    """Random inputs as the layer makes them: q, k, v are transposed views, channels first."""
    height, width = resolution

    def heads_of(depth: int) -> Tensor:
        flat = torch.randn(batch, heads, depth, height * width, dtype=torch.float64)
        return flat.to(dtype).requires_grad_(requires_grad).mT

    def table(length: int) -> Tensor:
        rows = torch.randn(2 * length - 1, key_depth, dtype=torch.float64) * key_depth**-0.5
        return rows.to(dtype).requires_grad_(requires_grad)

    return AttentionInputs(
        heads_of(key_depth) * key_depth**-0.5,
        heads_of(key_depth),
        heads_of(value_depth),
        (table(height), table(width)) if tables else None,
        resolution,
    )
