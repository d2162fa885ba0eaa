"""CoordConv positions: the coordinates of each pixel concatenated to the input as channels."""

from __future__ import annotations

import torch
from torch import Tensor

from aabench.layers.positions.encoding import PositionEncoding


class CoordConvPosition(PositionEncoding):
    """Concatenates (x, y, r) to the attention's input, as compared in Bello et al. 2019, table 7.

    x and y run from -1 to 1 over the columns and rows of the map at hand (0 where there is only
    one) and r = sqrt(x^2 + y^2) is the distance from its centre (Liu et al. 2018, section 3). No
    parameters of its own, any resolution; the convolution that makes k, q and v has three more
    input channels.
    """

    extra_channels = 3

    def encode(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C + 3, H, W), the coordinates last."""
        batch, _, height, width = x.shape
        down = coordinates(height, x)[:, None].expand(height, width)
        across = coordinates(width, x)[None, :].expand(height, width)
        code = torch.stack((across, down, torch.hypot(across, down)))
        return torch.cat((x, code.to(x.dtype).expand(batch, -1, -1, -1)), dim=1)


def coordinates(length: int, like: Tensor) -> Tensor:
    """Positions 0 to length-1 mapped onto -1 to 1, on the device of ``like``, at least float32."""
    precise = torch.float64 if like.dtype == torch.float64 else torch.float32
    position = torch.arange(length, device=like.device, dtype=precise)
    return (2 * position - (length - 1)) / max(length - 1, 1)
