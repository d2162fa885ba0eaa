"""The form `sdpa-bias`: torch's own scaled_dot_product_attention, the position logits as its mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from aabench.layers.positions.toeplitz import row_column_logits


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
) -> Tensor:
    """Stock fused attention with a (B, Nh, N, N) mask; without tables, without a mask.

    Args:
        q: (B, Nh, N, dk/Nh), scaled.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh).
        resolution: (H, W), with N = H * W.

    Returns:
        (B, Nh, N, dv/Nh).
    """
    mask = None if tables is None else position_mask(q, tables, resolution)
    key_depth, value_depth = padded_depths(q, v, mask)
    attended = F.scaled_dot_product_attention(
        _laid_out(q, key_depth),
        _laid_out(k, key_depth),
        _laid_out(v, value_depth),
        attn_mask=mask,
        scale=1.0,
    )
    return attended[..., : v.shape[-1]]


def position_mask(q: Tensor, tables: tuple[Tensor, Tensor], resolution: tuple[int, int]) -> Tensor:
    """The relative logits a[:, jy] + b[:, jx] as one (B, Nh, N, N) map, of q's data type."""
    a, b = row_column_logits(q, tables, resolution)
    return (a[..., :, None] + b[..., None, :]).flatten(-2).to(q.dtype)


def padded_depths(q: Tensor, v: Tensor, mask: Tensor | None) -> tuple[int, int]:
    """The depths of (q and k, v) that let a fused kernel take the case; zeros pad without effect.

    - CPU: the flash kernel wants equal depths, and a mask that needs no gradient. With a mask that
      does, only the math kernel is left, which gains nothing from padding.
    - CUDA: the memory-efficient and cuDNN kernels want multiples of 8 elements in half precision
      and of 4 in single; they take unequal depths. Nothing but the math kernel takes double.
    """
    key_depth, value_depth = q.shape[-1], v.shape[-1]
    if q.device.type == "cuda" and q.dtype != torch.float64:
        step = 4 if q.dtype == torch.float32 else 8
        return -(-key_depth // step) * step, -(-value_depth // step) * step
    if q.device.type == "cpu" and not (mask is not None and mask.requires_grad):
        return max(key_depth, value_depth), max(key_depth, value_depth)
    return key_depth, value_depth


def _laid_out(x: Tensor, depth: int) -> Tensor:
    """Contiguous, as fused kernels want the last dimension, and zero-padded to this depth."""
    if x.shape[-1] == depth:
        return x.contiguous()
    return F.pad(x, (0, depth - x.shape[-1])).contiguous()
