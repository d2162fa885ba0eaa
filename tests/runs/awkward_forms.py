"""Attention forms as other people write them: right, but not laid out as fused kernels want it."""

import torch
import torch.nn.functional as F


def strided(q, k, v, tables, resolution):
    """Hands its transposed views to torch's attention as they are."""
    return F.scaled_dot_product_attention(q, k, v, scale=1.0)


def by_hand(q, k, v, tables, resolution):
    """Calls nothing that is known to compute an attention."""
    weights = torch.exp((q[..., :, None, :] * k[..., None, :, :]).sum(-1))
    return ((weights / weights.sum(-1, keepdim=True))[..., None] * v[:, :, None]).sum(-2)
