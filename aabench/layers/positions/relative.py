"""Relative positions in two dimensions: one table of row offsets and one of column offsets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aabench.errors import UsageError
from aabench.layers.positions.encoding import PositionEncoding


class RelativePosition(PositionEncoding):
    """Learned vectors r_H[jy - iy] and r_W[jx - ix], shared by all heads (Bello et al. 2019, 3.2).

    The row of a table for a query at i and a key at j is j - i + L-1. A map smaller than the
    tables uses their central rows, so an offset keeps its vector at every resolution.

    Attributes:
        height: (2H'-1, dk/Nh), initialised normal with standard deviation (dk/Nh)^-0.5.
        width: (2W'-1, dk/Nh), likewise.
    """

    def __init__(self, in_channels: int, depth_per_head: int, resolution: tuple[int, int]) -> None:
        super().__init__(in_channels, depth_per_head, resolution)
        height, width = resolution
        self.height = nn.Parameter(torch.empty(2 * height - 1, depth_per_head))
        self.width = nn.Parameter(torch.empty(2 * width - 1, depth_per_head))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both tables anew."""
        for table in (self.height, self.width):
            nn.init.normal_(table, std=self.depth_per_head**-0.5)

    def tables(self, resolution: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The central rows of both tables: (2H-1, dk/Nh) and (2W-1, dk/Nh).

        Raises:
            UsageError: the map is larger than the tables.
        """
        height, width = resolution
        if height > self.resolution[0] or width > self.resolution[1]:
            raise UsageError(
                "the attention map is larger than the position tables",
                got=f"{height}x{width}",
                allowed=f"up to {self.resolution[0]}x{self.resolution[1]}",
                instead="call the layer's resize_positions() with the resolution of its inputs, "
                "or build it for that resolution",
            )
        return _central(self.height, height), _central(self.width, width)

    def resize(self, resolution: tuple[int, int]) -> None:
        """Replace both tables by ones for maps of up to this resolution, linearly interpolated.

        Not exact: the new tables hold vectors that were never trained. Offset 0 and the two
        largest offsets keep their vectors. The tables are new parameters.
        """
        self.height = _interpolated(self.height, resolution[0])
        self.width = _interpolated(self.width, resolution[1])
        super().resize(resolution)


def _central(table: Tensor, length: int) -> Tensor:
    """The 2 * length - 1 rows around offset 0."""
    centre = table.shape[0] // 2
    return table[centre - length + 1 : centre + length]


def _interpolated(table: nn.Parameter, length: int) -> nn.Parameter:
    """A table of 2 * length - 1 rows; with aligned corners, the centre stays the centre."""
    rows = F.interpolate(
        table.detach().T[None], size=2 * length - 1, mode="linear", align_corners=True
    )
    return nn.Parameter(rows[0].T.contiguous(), requires_grad=table.requires_grad)
