"""The form `broadcast`: the equations as they are read, over full maps; the others' specification."""

from __future__ import annotations

from torch import Tensor

from aabench.layers.positions.toeplitz import row_column_logits


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
) -> Tensor:
    """softmax(q k^T + a[:, jy] + b[:, jx]) v, the position logits added by broadcasting.

    Args:
        q: (B, Nh, N, dk/Nh), scaled.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh).
        resolution: (H, W), with N = H * W.

    Returns:
        (B, Nh, N, dv/Nh).
    """
    logits = q @ k.mT
    if tables is not None:
        a, b = row_column_logits(q, tables, resolution)
        by_key = logits.unflatten(-1, resolution)  # (B, Nh, N, H, W)
        logits = (by_key + a[..., :, None] + b[..., None, :]).flatten(-2)
    return logits.softmax(dim=-1) @ v
