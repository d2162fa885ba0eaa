"""The attentional stem of Ramachandran et al. 2019, section 3.2: attention inside small blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aabench.errors import UsageError
from aabench.layers.arguments import count


class BlockAttention2d(nn.Module):
    """Attention of every pixel to its own block, with values that know their place in it.

    The value of the pixel at (a, b) of its block is a mixture of ``mixtures`` linear maps of it
    with the weights softmax_m((row[a] + column[b]) . nu[m]), the paper's spatially aware values.
    The logits are those of ``LocalAttention2d``: q_i . k_j + q_i . r[j - i], without scale.

    Args:
        in_channels: channels of the input, Fin.
        out_channels: channels of the output, Fout; 2 heads divide it.
        block: side of the blocks, in pixels.
        heads: Nh.
        mixtures: m. How many the paper took is not known here; 4 is our choice.

    Raises:
        UsageError: heads that do not divide the channels into halves.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        block: int = 4,
        *,
        heads: int = 8,
        mixtures: int = 4,
    ) -> None:
        super().__init__()
        self.block = count("block", block)
        self.heads = count("heads", heads)
        self.mixtures = count("mixtures", mixtures)
        if out_channels % (2 * heads):
            raise UsageError(
                f"{heads} heads do not divide {out_channels} channels into halves for rows and "
                "columns",
                allowed=f"multiples of {2 * heads} channels",
            )
        self.qk = nn.Conv2d(in_channels, 2 * out_channels, 1, bias=False)
        self.values = nn.Conv2d(in_channels, mixtures * out_channels, 1, bias=False)
        half = out_channels // (2 * heads)
        self.row_offsets = nn.Parameter(torch.empty(heads, half, 2 * block - 1))
        self.column_offsets = nn.Parameter(torch.empty(heads, half, 2 * block - 1))
        self.row = nn.Parameter(torch.empty(block, out_channels))
        self.column = nn.Parameter(torch.empty(block, out_channels))
        self.nu = nn.Parameter(torch.empty(mixtures, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all tables anew: normal, with standard deviation 1 / sqrt(their depth)."""
        for offsets in (self.row_offsets, self.column_offsets):
            nn.init.normal_(offsets, std=(2 * offsets.shape[1]) ** -0.5)
        for places in (self.row, self.column, self.nu):
            nn.init.normal_(places, std=places.shape[1] ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Fin, H, W) to (B, Fout, H, W).

        Raises:
            UsageError: the blocks do not tile the map.
        """
        height, width = x.shape[2:]
        if height % self.block or width % self.block:
            raise UsageError(
                f"blocks of {self.block}x{self.block} pixels do not tile the map",
                got=f"{height}x{width}",
                allowed=f"multiples of {self.block}",
            )
        q, k = (self._by_head(part) for part in self.qk(x).chunk(2, dim=1))
        v = self._by_head(self._mixed(self.values(x)))
        logits = torch.einsum("bthdn,bthdm->bthnm", q, k)
        logits = logits + torch.einsum("bthdn,hdnm->bthnm", q, self._offsets())
        out = torch.einsum("bthnm,bthdm->bthdn", logits.softmax(dim=-1), v)
        return self._by_pixel(out, height // self.block)

    def extra_repr(self) -> str:
        """Block, heads and mixtures."""
        return f"block={self.block}, heads={self.heads}, mixtures={self.mixtures}"

    def _mixed(self, values: Tensor) -> Tensor:
        """The mixture at every pixel: (B, m Fout, H, W) to (B, Fout, H, W)."""
        places = self.row[:, None] + self.column  # (block, block, Fout)
        weights = torch.einsum("abf,mf->mab", places, self.nu).softmax(dim=0)
        height, width = values.shape[2] // self.block, values.shape[3] // self.block
        per_map = weights.repeat(1, height, width)[:, None]  # (m, 1, H, W)
        mixed: Tensor = (values.unflatten(1, (self.mixtures, -1)) * per_map).sum(dim=1)
        return mixed

    def _by_head(self, x: Tensor) -> Tensor:
        """(B, F, H, W) to (B, blocks, Nh, F / Nh, pixels of a block)."""
        tiles = x.unflatten(3, (-1, self.block)).unflatten(2, (-1, self.block))
        # (B, F, rows of blocks, block, columns of blocks, block)
        tiles = tiles.permute(0, 2, 4, 1, 3, 5).flatten(1, 2).flatten(3)
        by_head: Tensor = tiles.unflatten(2, (self.heads, -1))
        return by_head

    def _by_pixel(self, tiles: Tensor, rows: int) -> Tensor:
        """What ``_by_head`` took apart, put together again."""
        whole: Tensor = tiles.flatten(2, 3).unflatten(3, (self.block, self.block))
        whole = whole.unflatten(1, (rows, -1)).permute(0, 3, 1, 4, 2, 5)
        return whole.flatten(4, 5).flatten(2, 3)

    def _offsets(self) -> Tensor:
        """The vector r[j - i] of every pair: (Nh, Fout / Nh, block^2, block^2)."""
        line = torch.arange(self.block, device=self.row.device)
        offset = line - line[:, None] + self.block - 1  # (of i, of j)
        side = self.block
        rows = self.row_offsets[:, :, offset][:, :, :, None, :, None]
        columns = self.column_offsets[:, :, offset][:, :, None, :, None, :]
        shape = (-1, -1, side, side, side, side)
        both = torch.cat([rows.expand(shape), columns.expand(shape)], dim=1)
        return both.flatten(4, 5).flatten(2, 3)
