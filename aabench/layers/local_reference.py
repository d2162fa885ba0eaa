"""The reference of local attention: the formula in float64, by index gathering.

Nothing here is shared with the layer, so that a mistake in it cannot hide in both. It can be
differentiated.
"""

from __future__ import annotations

import torch
from torch import Tensor


def local_reference_rows(  # noqa: PLR0917 -- the five arguments of an attention, and the rows
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor],
    resolution: tuple[int, int],
    rows: Tensor | None = None,
) -> Tensor:
    """softmax(q_i . k_j + q_i . r[j - i]) v_j over the window around i, for some queries i.

    Ramachandran et al. 2019, equation 3, over the pixels of the window that exist. It holds
    (B, Nh, R, k^2, d) float64 numbers for R rows: give it a slice of the batch where that is
    too much.

    Args:
        q: (B, Nh, N, d), not scaled.
        k: (B, Nh, N, d).
        v: (B, Nh, N, d).
        tables: (Nh, d / 2, k) of row offsets and (Nh, d / 2, k) of column offsets; the last index
            of an offset o is o + k // 2. Their concatenation over d is r.
        resolution: (H, W), with N = H * W in row-major order.
        rows: (R,) indices of queries; all N without it.

    Returns:
        (B, Nh, R, d) in float64; gradients flow to every argument.
    """
    height, width = resolution
    of_rows, of_columns = (table.double() for table in tables)
    side = of_rows.shape[2]
    query = torch.arange(height * width) if rows is None else rows
    query = query.to(q.device)
    offset = torch.arange(side**2, device=q.device)
    down, across = offset // side, offset % side  # of the place in the window
    key_row = (query // width)[:, None] + down - side // 2  # (R, k^2)
    key_column = (query % width)[:, None] + across - side // 2
    exists = (key_row >= 0) & (key_row < height) & (key_column >= 0) & (key_column < width)
    key = torch.where(exists, key_row * width + key_column, 0)
    relative = torch.cat([of_rows[:, :, down], of_columns[:, :, across]], dim=1)  # (Nh, d, k^2)
    queries = q.double()[:, :, query]
    logits = torch.einsum("bnid,bniwd->bniw", queries, k.double()[:, :, key])
    logits = logits + torch.einsum("bnid,ndw->bniw", queries, relative)
    weights = logits.where(exists, -torch.inf).softmax(dim=3)
    return torch.einsum("bniw,bniwd->bnid", weights, v.double()[:, :, key])
