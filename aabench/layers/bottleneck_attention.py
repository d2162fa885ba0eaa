"""BoT's attention as a layer (Srinivas et al. 2021): global attention in the place of a 3x3."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from aabench.cases.choice import AUTO
from aabench.errors import UsageError
from aabench.layers.arguments import count
from aabench.layers.augmented_convolution import AugmentedConv2d


class BottleneckAttention2d(AugmentedConv2d):
    """Multi-head attention over all pixels, without a convolution and without mixing of the heads.

    The attention of an ``AugmentedConv2d`` with dk = dv = Fout, in any of its forms, and without
    its last 1x1: q, k and v are one 1x1 convolution without bias, the logits are scaled, and
    relative in height and width (Srinivas et al. 2021, figure 4). A stride is a mean over windows
    of stride x stride pixels after the attention, which is at the resolution of its input; at the
    border they hold the pixels that exist. Its state is ``kqv.weight``, ``position.height`` and
    ``position.width``.

    Args:
        in_channels: channels of the input, Fin.
        out_channels: channels of the output, Fout; the heads divide it.
        heads: Nh.
        stride: how much coarser the output is than the input, in ``pooling``.
        position: as in ``AugmentedConv2d``.
        attention: as in ``AugmentedConv2d``; may be set again at any time.
        resolution: (H, W) of the largest input, or one number for both. Smaller inputs work;
            larger ones need ``resize_positions`` first.

    Attributes:
        pooling: side of the windows after the attention. (``stride`` is 1, that of the attention.)

    Raises:
        UsageError: an argument that makes no such layer, or an unknown name.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        heads: int = 4,
        stride: int = 1,
        position: str = "relative",
        attention: str = AUTO,
        resolution: int | tuple[int, int],
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            1,
            dk=out_channels,
            dv=out_channels,
            heads=heads,
            position=position,
            attention=attention,
            resolution=resolution,
        )
        self.pooling = count("stride", stride)

    @classmethod
    def from_ratios(cls, *_: object, **__: object) -> BottleneckAttention2d:
        """There are no ratios to choose.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "BoT's attention has kappa = upsilon = 1", instead=f"call {cls.__name__}(...)"
        )

    def _build_attention(self) -> None:
        super()._build_attention()
        self.mix = None

    def attended(self, x: Tensor) -> Tensor:
        """The whole output: (B, Fout, ceil(H / stride), ceil(W / stride)), head by head."""
        inputs = self.attention_inputs(x)
        values = self.attend(inputs).mT.reshape(-1, self.dv, *inputs.resolution)
        return values if self.pooling == 1 else F.avg_pool2d(values, self.pooling, ceil_mode=True)

    def extra_repr(self) -> str:
        """That of the augmented convolution, and the pooling."""
        return f"{super().extra_repr()}, pooling={self.pooling}"
