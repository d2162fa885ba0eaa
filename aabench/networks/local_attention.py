"""Local attention (Ramachandran et al. 2019): every pixel attends to the window around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aabench.errors import UsageError
from aabench.layers.arguments import count


class LocalAttention2d(nn.Module):
    """softmax(q_i . k_j + q_i . r[j - i]) v_j over the k x k pixels j around i (equation 3).

    q, k and v are dense 1x1 convolutions without bias; there is no scale and no output projection.
    r is the concatenation, over a head's channels, of a vector of the row offset and one of the
    column offset. Pixels beyond the border are not attended to, on which the paper says nothing.

    Args:
        in_channels: channels of the input, Fin.
        out_channels: channels of the output, Fout; 2 heads divide it.
        kernel_size: k, the side of the window, odd.
        heads: Nh.

    Attributes:
        rows: (Nh, Fout / (2 Nh), k), the vectors of row offsets -(k // 2) to k // 2.
        columns: likewise, of column offsets.

    Raises:
        UsageError: an even window, or heads that do not divide the channels into halves.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 7, *, heads: int = 8
    ) -> None:
        super().__init__()
        self.kernel_size = count("kernel_size", kernel_size)
        self.heads = count("heads", heads)
        if kernel_size % 2 == 0:
            raise UsageError("the window has no centre", got=kernel_size, allowed="odd sizes")
        if out_channels % (2 * heads):
            raise UsageError(
                f"{heads} heads do not divide {out_channels} channels into halves for rows and "
                "columns",
                allowed=f"multiples of {2 * heads} channels",
            )
        self.projection = nn.Conv2d(in_channels, 3 * out_channels, 1, bias=False)  # q, k, v
        half = out_channels // (2 * heads)
        self.rows = nn.Parameter(torch.empty(heads, half, kernel_size))
        self.columns = nn.Parameter(torch.empty(heads, half, kernel_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both tables anew: normal, as those of the augmented convolution."""
        for table in (self.rows, self.columns):
            nn.init.normal_(table, std=(2 * table.shape[1]) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Fin, H, W) to (B, Fout, H, W)."""
        q, k, v = self.projection(x).chunk(3, dim=1)
        q = q.flatten(2).unflatten(1, (self.heads, -1))  # (B, Nh, Fout / Nh, N)
        logits = torch.einsum("bhdn,bhdwn->bhnw", q, self._windows(k))
        logits = logits + torch.einsum("bhdn,hdw->bhnw", q, self._offsets())
        logits = logits.masked_fill(~self._inside(x), -torch.inf)
        out = torch.einsum("bhnw,bhdwn->bhdn", logits.softmax(dim=-1), self._windows(v))
        merged: Tensor = out.flatten(1, 2).unflatten(2, (x.shape[2], x.shape[3]))
        return merged

    def extra_repr(self) -> str:
        """Window and heads."""
        return f"kernel_size={self.kernel_size}, heads={self.heads}"

    def _windows(self, x: Tensor) -> Tensor:
        """The window around every pixel: (B, Fout, H, W) to (B, Nh, Fout / Nh, k^2, N)."""
        patches: Tensor = F.unfold(x, self.kernel_size, padding=self.kernel_size // 2)
        windows: Tensor = patches.unflatten(1, (self.heads, -1, self.kernel_size**2))
        return windows

    def _offsets(self) -> Tensor:
        """The vector r of every offset of the window: (Nh, Fout / Nh, k^2)."""
        rows = self.rows[..., :, None].expand(-1, -1, -1, self.kernel_size)
        columns = self.columns[..., None, :].expand(-1, -1, self.kernel_size, -1)
        return torch.cat([rows, columns], dim=1).flatten(2)

    def _inside(self, x: Tensor) -> Tensor:
        """Which pixels of every window are in the map: (N, k^2)."""
        ones = torch.ones_like(x[:1, :1])
        inside: Tensor = F.unfold(ones, self.kernel_size, padding=self.kernel_size // 2)[0].T > 0
        return inside
