"""Sine positions in two dimensions: waves of the row and of the column added to the input."""

from __future__ import annotations

import torch
from torch import Tensor

from aabench.layers.positions.encoding import PositionEncoding

LONGEST_PERIOD = 10_000.0
"""The base of the wavelengths, as in Vaswani et al. 2017, section 3.5."""


class SinePosition(PositionEncoding):
    """Adds fixed waves, of the row to the first half of the channels and of the column to the rest.

    Within a half of n channels, channels 2m and 2m + 1 hold the sine and the cosine of
    p / 10000^(2m / n) for a pixel at p: the code of Vaswani et al. 2017 once per dimension, as
    compared in Bello et al. 2019, table 7. No parameters, any resolution; an odd channel goes to
    the rows.
    """

    def encode(self, x: Tensor) -> Tensor:
        """(B, C, H, W) plus the code (C, H, W)."""
        _, channels, height, width = x.shape
        row_channels = (channels + 1) // 2
        rows = waves(height, row_channels, x)[:, :, None].expand(-1, -1, width)
        columns = waves(width, channels - row_channels, x)[:, None, :].expand(-1, height, -1)
        return x + torch.cat((rows, columns))


def waves(length: int, channels: int, like: Tensor) -> Tensor:
    """The one-dimensional code (channels, length), of the device and data type of ``like``."""
    # Half precision cannot tell neighbouring positions of a long wave apart: round only at the end.
    precise = torch.float64 if like.dtype == torch.float64 else torch.float32
    channel = torch.arange(channels, device=like.device)
    exponent = (channel // 2 * 2).to(precise) / max(channels, 1)
    position = torch.arange(length, device=like.device, dtype=precise)
    angle = position * LONGEST_PERIOD ** -exponent[:, None]
    return torch.where(channel[:, None] % 2 == 0, angle.sin(), angle.cos()).to(like.dtype)
