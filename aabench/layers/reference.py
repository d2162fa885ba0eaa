"""The reference that every form is checked against: the formula in float64, by index gathering.

Nothing here is shared with the forms, the layer or the position encodings, so that a mistake in
one of them cannot hide in both. It is slow, holds full maps, and can be differentiated.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from aabench.cases.case import Layer
from aabench.errors import UsageError


def reference_rows(  # noqa: PLR0917 -- the five arguments of every form, and the rows
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
    rows: Tensor | None = None,
) -> Tensor:
    """softmax(q_i . k_j + q_i . r_H[jy - iy] + q_i . r_W[jx - ix]) v_j for some queries i.

    Bello et al. 2019, equations 2 and 3. It holds a few maps of (B, Nh, R, N) float64 numbers for
    R rows: give it a slice of the batch where that is too much.

    Args:
        q: (B, Nh, N, dk/Nh), already scaled by (dk/Nh)^-0.5.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh), the row of an offset o being o + L-1.
        resolution: (H, W), with N = H * W in row-major order.
        rows: (R,) indices of queries; all N without it.

    Returns:
        (B, Nh, R, dv/Nh) in float64; gradients flow to every argument.
    """
    height, width = resolution
    key = torch.arange(height * width, device=q.device)
    query = key if rows is None else rows.to(q.device)
    queries = q.double()[:, :, query]
    logits = torch.einsum("bnid,bnjd->bnij", queries, k.double())
    if tables is not None:
        rows_apart = key // width - query[:, None] // width  # (R, N): jy - iy
        columns_apart = key % width - query[:, None] % width  # (R, N): jx - ix
        for table, apart, length in zip(
            tables, (rows_apart, columns_apart), (height, width), strict=True
        ):
            # (B, Nh, R, 2L-1): the query against every offset, then the one of each key.
            by_offset = torch.einsum("bnid,md->bnim", queries, table.double())
            index = (apart + length - 1).expand(*logits.shape[:2], -1, -1)
            logits = logits + by_offset.gather(3, index)
    return torch.einsum("bnij,bnjd->bnid", logits.softmax(dim=3), v.double())


def reference_layer(x: Tensor, state: Mapping[str, Tensor], layer: Layer) -> Tensor:
    """The whole augmented convolution from its weights.

    Args:
        x: (B, Fin, H, W), at most of the layer's resolution.
        state: the layer's parameters under their names in the state dict.
        layer: its hyperparameters; positions ``relative``, ``none``, ``sine`` and ``coordconv``.

    Returns:
        (B, Fout, ceil(H / stride), ceil(W / stride)) in float64; gradients flow to x and the state.

    Raises:
        UsageError: a position encoding from outside, which has no reference here.
    """
    x = x.double()
    state = {name: value.double() for name, value in state.items()}
    parts = []
    if layer.dv < layer.out_channels:
        parts.append(
            F.conv2d(
                x,
                state["conv.weight"],
                state.get("conv.bias"),
                stride=layer.stride,
                padding=layer.kernel_size // 2,
            )
        )
    if layer.dv > 0:
        parts.append(_attention_branch(x, state, layer))
    return torch.cat(parts, dim=1)


def _attention_branch(x: Tensor, state: Mapping[str, Tensor], layer: Layer) -> Tensor:
    """The last dv channels of the output."""
    pixels = _with_positions(_window_means(x, layer.stride * layer.downsample), layer.position)
    B, _, H, W = pixels.shape
    projected = F.conv2d(pixels, state["kqv.weight"], state.get("kqv.bias"))
    # The channels are k, q, v; within each, head by head.
    heads = layer.heads
    k = projected[:, : layer.dk].reshape(B, heads, layer.dk // heads, H * W)
    q = projected[:, layer.dk : 2 * layer.dk].reshape(B, heads, layer.dk // heads, H * W)
    v = projected[:, 2 * layer.dk :].reshape(B, heads, layer.dv // heads, H * W)
    tables = None
    if layer.position == "relative":
        tables = (_offsets(state["position.height"], H), _offsets(state["position.width"], W))
    attended = reference_rows(
        q.transpose(2, 3) / (layer.dk // heads) ** 0.5,
        k.transpose(2, 3),
        v.transpose(2, 3),
        tables,
        (H, W),
    )
    merged = attended.permute(0, 1, 3, 2).reshape(B, layer.dv, H, W)
    mixed = F.conv2d(merged, state["mix.weight"], state.get("mix.bias"))
    output = (-(-x.shape[2] // layer.stride), -(-x.shape[3] // layer.stride))
    return _resampled(mixed, output)


def _window_means(x: Tensor, step: int) -> Tensor:
    """Means over the pixels within step // 2 of every step-th pixel, those that exist."""
    reach = step // 2
    for axis in (2, 3):
        size = x.shape[axis]
        means = [
            x.narrow(
                axis, max(centre - reach, 0), min(centre + reach + 1, size) - max(centre - reach, 0)
            ).mean(dim=axis, keepdim=True)
            for centre in range(0, size, step)
        ]
        x = torch.cat(means, dim=axis)
    return x


def _resampled(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation between pixel centres, constant beyond the outermost ones."""
    for axis, wanted in zip((2, 3), size, strict=True):
        have = x.shape[axis]
        position = torch.arange(wanted, device=x.device, dtype=x.dtype)
        source = ((position + 0.5) * have / wanted - 0.5).clamp(0, have - 1)
        below = source.floor().long()
        above = (below + 1).clamp(max=have - 1)
        share = (source - below).reshape([-1 if each == axis else 1 for each in range(4)])
        x = x.index_select(axis, below) * (1 - share) + x.index_select(axis, above) * share
    return x


def _offsets(table: Tensor, length: int) -> Tensor:
    """The rows of the offsets -(length - 1) to length - 1 of a table that may hold more."""
    offset = torch.arange(1 - length, length, device=table.device)
    return table[offset + (table.shape[0] - 1) // 2]


def _with_positions(x: Tensor, position: str) -> Tensor:
    """The attention's input with what the encoding adds to it."""
    if position in {"relative", "none"}:
        return x
    if position == "sine":
        return x + _sine_code(x)
    if position == "coordconv":
        return torch.cat((x, _coordinates(x)), dim=1)
    raise UsageError(
        "there is no reference for this position encoding",
        got=position,
        allowed=["relative", "none", "sine", "coordconv"],
        instead="check its attention alone, with reference_rows",
    )


def _sine_code(x: Tensor) -> Tensor:
    """(C, H, W): channel c of a half of n is sin or cos of p / 10000^(2 (c // 2) / n)."""
    _, C, H, W = x.shape
    first = -(-C // 2)
    code = torch.zeros(C, H, W, dtype=x.dtype, device=x.device)
    for channel in range(C):
        of_rows = channel < first
        index, half = (channel, first) if of_rows else (channel - first, C - first)
        position = torch.arange(H if of_rows else W, dtype=x.dtype, device=x.device)
        angle = position / 10_000 ** (2 * (index // 2) / half)
        wave = angle.sin() if index % 2 == 0 else angle.cos()
        code[channel] = wave[:, None] if of_rows else wave[None, :]
    return code


def _coordinates(x: Tensor) -> Tensor:
    """(B, 3, H, W): the column and the row from -1 to 1, and the distance from the centre."""
    B, _, H, W = x.shape
    row = torch.linspace(-1, 1, H, dtype=x.dtype, device=x.device) if H > 1 else x.new_zeros(1)
    column = torch.linspace(-1, 1, W, dtype=x.dtype, device=x.device) if W > 1 else x.new_zeros(1)
    y, x_axis = torch.meshgrid(row, column, indexing="ij")
    return torch.stack((x_axis, y, (x_axis**2 + y**2).sqrt())).expand(B, -1, -1, -1)
