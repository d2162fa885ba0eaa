"""The logits of relative positions per key row and key column, as small products with Toeplitz tables.

Shapes: B images, Nh heads, N = H * W queries in row-major order, d = dk/Nh channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def toeplitz(table: Tensor) -> Tensor:
    """Every query's view of a table of offsets.

    Args:
        table: (2L-1, d), row j - i + L-1 for a query at i and a key at j.

    Returns:
        (L, d, L): entry [i, :, j] is the table's row for the offset j - i.
    """
    length = (table.shape[0] + 1) // 2
    # Window s of the unfolded table holds rows s to s + L-1; the query at i wants window L-1 - i.
    return table.unfold(0, length, 1).flip(0)


def row_column_logits(
    q: Tensor, tables: tuple[Tensor, Tensor], resolution: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The two summands that relative positions add to the logits, before they are spread over keys.

    For a query i at (iy, ix) and a key j at (jy, jx), S_H[i, j] = q_i . r_H[jy - iy] depends on the
    key's row alone and S_W[i, j] = q_i . r_W[jx - ix] on its column alone (Bello et al. 2019,
    equation 2), so H + W numbers a query say it all: N * dk * (H + W) MACs an image, about half of
    those of the skew.

    Args:
        q: (B, Nh, N, d), already scaled by d^-0.5, of any strides.
        tables: (2H-1, d) and (2W-1, d), already cropped to the resolution.
        resolution: (H, W).

    Returns:
        a (B, Nh, N, H) with a[i, jy] = q_i . r_H[jy - iy], and b (B, Nh, N, W) with
        b[i, jx] = q_i . r_W[jx - ix]. They are not contiguous in general.
    """
    height_table, width_table = tables
    queries = q.unflatten(2, resolution)
    row_logits = torch.einsum("bnyxd,ydj->bnyxj", queries, toeplitz(height_table))
    column_logits = torch.einsum("bnyxd,xdj->bnyxj", queries, toeplitz(width_table))
    return row_logits.flatten(2, 3), column_logits.flatten(2, 3)
