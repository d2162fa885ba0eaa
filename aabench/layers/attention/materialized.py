"""The form `materialized`: the paper's own algorithm, as people have it today; every ratio's baseline.

It follows the appendix of Bello et al. 2019 operation by operation, as public PyTorch ports do:
logits over all 2L-1 offsets, the skew from offsets to keys, each axis repeated and transposed
into a full (B, Nh, N, N) map, both maps added in place, softmax. Nothing is saved on purpose.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
) -> Tensor:
    """Attention that holds four full maps at once where there are tables.

    Args:
        q: (B, Nh, N, dk/Nh), scaled.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh).
        resolution: (H, W), with N = H * W.

    Returns:
        (B, Nh, N, dv/Nh).
    """
    logits = torch.matmul(q, k.transpose(2, 3))
    if tables is not None:
        height_logits, width_logits = relative_logits(q.unflatten(2, resolution), tables)
        logits += height_logits
        logits += width_logits
    weights = torch.softmax(logits, dim=-1)
    return torch.matmul(weights, v)


def relative_logits(q: Tensor, tables: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Both summands of the logits as full maps (B, Nh, N, N), from q (B, Nh, H, W, dk/Nh)."""
    tokens = q.shape[2] * q.shape[3]
    full = (*q.shape[:2], tokens, tokens)
    # Each axis is repeated and copied into query-by-key order before the other is begun.
    across = q.transpose(2, 3)
    height_map = relative_logits_1d(across, tables[0]).permute(0, 1, 4, 2, 5, 3).reshape(full)
    width_map = relative_logits_1d(q, tables[1]).transpose(3, 4).reshape(full)
    return height_map, width_map


def relative_logits_1d(q: Tensor, table: Tensor) -> Tensor:
    """Logits along the second axis of the image, repeated for every key of the first.

    Args:
        q: (B, Nh, H, W, dk/Nh); for the height, with H and W exchanged.
        table: (2W-1, dk/Nh).

    Returns:
        (B, Nh, H, H, W, W), as [b, n, iy, jy, ix, jx].
    """
    B, Nh, H, W, _ = q.shape
    by_offset = torch.einsum("bnyxd,md->bnyxm", q, table)
    by_key = offsets_to_keys(by_offset.reshape(B, Nh * H, W, 2 * W - 1))
    return by_key.reshape(B, Nh, H, 1, W, W).repeat(1, 1, 1, H, 1, 1)


def offsets_to_keys(logits: Tensor) -> Tensor:
    """The skew ``rel_to_abs``: (B, Nh, L, 2L-1) by offset to (B, Nh, L, L) by key.

    One column of padding makes each row of the flat array start one element later than the
    offset it stands for, so that reading it back with rows of 2L-1 aligns the keys.
    """
    B, Nh, L, _ = logits.shape
    flat = F.pad(logits, (0, 1)).reshape(B, Nh, L * 2 * L)
    skewed = F.pad(flat, (0, L - 1)).reshape(B, Nh, L + 1, 2 * L - 1)
    return skewed[:, :, :L, L - 1 :]
