"""What every position encoding is: the base class whose defaults encode nothing."""

from __future__ import annotations

from torch import Tensor, nn


class PositionEncoding(nn.Module):
    """Tells the attention where its pixels are, by changing its input, by relative tables, or both.

    The defaults encode nothing, so an encoding overrides only what it does. A class from outside
    need not derive from this one; it needs these attributes, and this constructor.

    Args:
        in_channels: channels of the attention's input.
        depth_per_head: dk/Nh.
        resolution: (H', W'), the largest map that the attention will see.

    Attributes:
        extra_channels: channels that ``encode`` concatenates to the attention's input.
    """

    extra_channels: int = 0

    def __init__(self, in_channels: int, depth_per_head: int, resolution: tuple[int, int]) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.depth_per_head = depth_per_head
        self.resolution = resolution

    def encode(self, x: Tensor) -> Tensor:
        """The attention's input with positions in it: (B, C, H, W) to (B, C + extra, H, W)."""
        return x

    def tables(self, resolution: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
        """The tables (2H-1, dk/Nh) and (2W-1, dk/Nh) for a map of this resolution, or None."""
        return None

    def resize(self, resolution: tuple[int, int]) -> None:
        """Prepare for maps of up to this resolution."""
        self.resolution = resolution

    def extra_repr(self) -> str:
        """The largest map."""
        return f"resolution={self.resolution}"
