"""Local attention as a layer (Ramachandran et al. 2019): every pixel attends to the window around it.

Shapes: B images, Nh heads, N = H * W pixels in row-major order, d = Fout / Nh channels a head,
k the side of the window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aabench.errors import UsageError
from aabench.layers.arguments import count, resolution_pair
from aabench.layers.attention_inputs import AttentionInputs


class LocalAttention2d(nn.Module):
    """softmax(q_i . k_j + q_i . r[j - i]) v_j over the k x k pixels j around i (equation 3).

    q, k and v are dense 1x1 convolutions without bias; there is no scale and no output projection.
    r is the concatenation, over a head's channels, of a vector of the row offset and one of the
    column offset. Pixels beyond the border are not attended to, on which the paper says nothing.
    A stride is a mean over windows of stride x stride pixels after the attention, as in the paper;
    at the border they hold the pixels that exist.

    It holds the windows of all keys and values, k^2 times their size, and no N x N map.

    Args:
        in_channels: channels of the input, Fin.
        out_channels: channels of the output, Fout; 2 heads divide it.
        kernel_size: k, the side of the window, odd.
        heads: Nh.
        stride: how much coarser the output is than the input.
        resolution: (H, W) of the largest input, or one number for both, for layers that are built
            from the same arguments. A window fits any map, so nothing depends on it.

    Attributes:
        projection: the 1x1 convolution to q, k and v, in this order.
        rows: (Nh, Fout / (2 Nh), k), the vectors of row offsets -(k // 2) to k // 2.
        columns: likewise, of column offsets.

    Raises:
        UsageError: an even window, heads that do not divide the channels into halves, or an
            argument that is no count.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 7,
        *,
        heads: int = 8,
        stride: int = 1,
        resolution: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = count("in_channels", in_channels)
        self.out_channels = count("out_channels", out_channels)
        self.kernel_size = count("kernel_size", kernel_size)
        self.heads = count("heads", heads)
        self.stride = count("stride", stride)
        self.resolution = None if resolution is None else resolution_pair(resolution)
        if kernel_size % 2 == 0:
            raise UsageError("the window has no centre", got=kernel_size, allowed="odd sizes")
        if out_channels % (2 * heads):
            raise UsageError(
                f"{heads} heads do not divide {out_channels} channels into halves for rows and "
                "columns",
                allowed=f"multiples of {2 * heads} channels",
            )
        self.projection = nn.Conv2d(in_channels, 3 * out_channels, 1, bias=False)
        half = out_channels // (2 * heads)
        self.rows = nn.Parameter(torch.empty(heads, half, kernel_size))
        self.columns = nn.Parameter(torch.empty(heads, half, kernel_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both tables anew: normal, as those of the augmented convolution."""
        for table in (self.rows, self.columns):
            nn.init.normal_(table, std=(2 * table.shape[1]) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Fin, H, W) to (B, Fout, ceil(H / stride), ceil(W / stride)).

        Raises:
            UsageError: not a batch of images.
        """
        inputs = self.attention_inputs(x)
        attended = self.attend(inputs).mT.reshape(-1, self.out_channels, *inputs.resolution)
        if self.stride == 1:
            return attended
        return F.avg_pool2d(attended, self.stride, ceil_mode=True)

    def attention_inputs(self, x: Tensor) -> AttentionInputs:
        """What the attention is computed from, for an input (B, Fin, H, W).

        As of every layer, but q is not scaled, and the tables are ``rows`` and ``columns``. All
        tensors have one data type, that of the projection: under autocast the reduced one.

        Raises:
            UsageError: not a batch of images.
        """
        if x.dim() != 4:
            raise UsageError("the input is no batch of images", got=tuple(x.shape), allowed="NCHW")
        q, k, v = (
            part.flatten(2).unflatten(1, (self.heads, -1)).mT  # (B, Nh, N, d)
            for part in self.projection(x).chunk(3, dim=1)
        )
        tables = (self.rows.to(q.dtype), self.columns.to(q.dtype))
        return AttentionInputs(q, k, v, tables, (x.shape[2], x.shape[3]))

    def attend(self, inputs: AttentionInputs) -> Tensor:
        """The attention alone, before the stride: (B, Nh, N, d)."""
        assert inputs.tables is not None
        return attend_locally(inputs.q, inputs.k, inputs.v, inputs.tables, inputs.resolution)

    def extra_repr(self) -> str:
        """Every argument that the output depends on."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"heads={self.heads}, stride={self.stride}"
        )


def attend_locally(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor],
    resolution: tuple[int, int],
) -> Tensor:
    """softmax(q_i . k_j + q_i . r[j - i]) v_j over the window around each i.

    Args:
        q: (B, Nh, N, d), not scaled.
        k: (B, Nh, N, d).
        v: (B, Nh, N, d).
        tables: the vectors of row and of column offsets, (Nh, d / 2, k) each.
        resolution: (H, W), with N = H * W.

    Returns:
        (B, Nh, N, d).
    """
    side = int(tables[0].shape[2])  # a number under torch.jit's tracer too
    logits = torch.einsum("bhnd,bhdwn->bhnw", q, _windows(k, side, resolution))
    logits += torch.einsum("bhnd,hdw->bhnw", q, _offset_vectors(tables))
    logits.masked_fill_(_outside(q, side, resolution), -torch.inf)
    return torch.einsum("bhnw,bhdwn->bhnd", logits.softmax(dim=-1), _windows(v, side, resolution))


def _windows(x: Tensor, side: int, resolution: tuple[int, int]) -> Tensor:
    """The window around every pixel, zeros beyond the border: (B, Nh, N, d) to (B, Nh, d, k^2, N)."""
    B, heads, N, depth = x.shape
    images = x.mT.reshape(B, heads * depth, *resolution)
    patches: Tensor = F.unfold(images, side, padding=side // 2)
    return patches.reshape(B, heads, depth, side**2, N)


def _offset_vectors(tables: tuple[Tensor, Tensor]) -> Tensor:
    """The vector r of every offset of the window: (Nh, d, k^2)."""
    rows, columns = tables
    side = int(rows.shape[2])
    of_rows = rows[..., :, None].expand(-1, -1, -1, side)
    of_columns = columns[..., None, :].expand(-1, -1, side, -1)
    return torch.cat([of_rows, of_columns], dim=1).flatten(2)


def _outside(like: Tensor, side: int, resolution: tuple[int, int]) -> Tensor:
    """Which pixels of every window are beyond the border: (N, k^2)."""
    ones = like.new_ones(1, 1, *resolution)
    outside: Tensor = F.unfold(ones, side, padding=side // 2)[0].T == 0
    return outside
