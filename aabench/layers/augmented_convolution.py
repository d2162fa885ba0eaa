"""The attention-augmented convolution: a convolution beside multi-head attention over all pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aabench.cases.case import Layer
from aabench.cases.catalogue import ATTENTIONS, POSITIONS
from aabench.cases.choice import AUTO, CANDIDATES, Choice, Situation, choose_attention
from aabench.cases.depths import (
    PUBLISHED_KEY_DEPTH_PER_HEAD,
    Ratio,
    key_depth,
    value_depth,
)
from aabench.cases.validity import layer_problem
from aabench.errors import UsageError
from aabench.layers.arguments import count, ratio, resolution_pair
from aabench.layers.attention_inputs import (
    AttentionInputs,
    capability_of,
    is_autocast_on,
    precision_of,
)
from aabench.layers.positions.encoding import PositionEncoding

Form = Callable[
    [Tensor, Tensor, Tensor, tuple[Tensor, Tensor] | None, tuple[int, int]],
    Tensor,
]
"""An attention form, as ``aabench.layers.attention`` describes it."""


class AugmentedConv2d(nn.Module):
    """A convolution with some of its output channels made by attention (Bello et al. 2019, 3.3).

    AAConv(X) = Concat[Conv(X), MHA(X)] over channels: a k x k convolution makes out_channels - dv
    of them, attention the last dv. One 1x1 convolution makes keys, queries and values; another
    mixes the heads. With dv = 0 it is the plain convolution, with dv = out_channels attention
    alone. Without a bias its size differs from the plain convolution's by
    Fin Fout (2 kappa + (1 - k^2) upsilon + (Fout / Fin) upsilon^2) plus the tables.

    With stride s and downsample d the attention's input is average-pooled by s * d: windows of
    2 * (s d // 2) + 1 pixels around every (s d)-th one (for 2, the 3x3 windows of the published
    ResNets), where the border counts no padding. So its map is H' = ceil(H / (s d)) for every H,
    and what attention made is upsampled bilinearly to the convolution's ceil(H / s).

    The state is the same for every form, so that weights move between them: ``conv.weight``,
    ``kqv.weight`` (keys, queries, values, in this order), ``mix.weight``, and with relative
    positions ``position.height`` (2H'-1, dk/Nh) and ``position.width`` (2W'-1, dk/Nh); each
    convolution also has a ``bias`` where asked for.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, Fout.
        kernel_size: side of the convolution's window, odd: the padding keeps the resolution.
        dk: channels of the keys and of the queries, all heads together.
        dv: channels of the values, all heads together, at most ``out_channels``.
        heads: Nh, which divides dk and dv.
        stride: of the convolution; the attention follows by pooling.
        position: a name of ``aabench list positions``, or ``package.module:class``.
        attention: ``auto``, a name of ``aabench list attentions``, or ``package.module:function``;
            may be set again at any time. ``auto`` follows ``aabench.cases.choice`` at every call.
        resolution: (H, W) of the largest input, or one number for both. Smaller inputs work;
            larger ones need ``resize_positions`` first.
        bias: whether the three convolutions have one; the published layers have none.
        downsample: how much coarser than the output the attention sees its input.

    Raises:
        UsageError: an argument that makes no such layer, or an unknown name.
    """

    conv: nn.Conv2d | None
    kqv: nn.Conv2d | None
    mix: nn.Conv2d | None
    position: PositionEncoding | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        dk: int,
        dv: int,
        heads: int,
        stride: int = 1,
        position: str = "relative",
        attention: str = AUTO,
        resolution: int | tuple[int, int],
        bias: bool = False,
        downsample: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels = count("in_channels", in_channels)
        self.out_channels = count("out_channels", out_channels)
        self.kernel_size = count("kernel_size", kernel_size)
        self.dk = count("dk", dk, least=0)
        self.dv = count("dv", dv, least=0)
        self.heads = count("heads", heads)
        self.stride = count("stride", stride)
        self.downsample = count("downsample", downsample)
        self.resolution = resolution_pair(resolution)
        self.position_name = position
        self.bias = bias
        problem = layer_problem(self.specification)
        if problem is not None:
            raise UsageError(problem)
        self.attention = attention
        self._build_convolution()
        self._build_attention()

    @classmethod
    def from_ratios(
        cls,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        kappa: Ratio,
        upsilon: Ratio,
        heads: int,
        min_key_depth_per_head: int = PUBLISHED_KEY_DEPTH_PER_HEAD,
        **same: Any,
    ) -> Self:
        """The layer of the ratios kappa = dk/Fout and upsilon = dv/Fout (Bello et al. 2019, 3.3).

        dv = floor(upsilon Fout / Nh) Nh and dk = max(20 Nh, floor(kappa Fout / Nh) Nh), in exact
        decimals: 0.1 is one tenth. An upsilon too small for one channel a head leaves dv = 0, the
        plain convolution.

        Args:
            in_channels: channels of the input.
            out_channels: channels of the output, Fout.
            kernel_size: side of the convolution's window.
            kappa: dk/Fout, 0 or more.
            upsilon: dv/Fout, from 0 (no attention) to 1 (nothing else).
            heads: Nh.
            min_key_depth_per_head: the least dk/Nh, 20 in the published networks.
            **same: the constructor's other arguments.

        Raises:
            UsageError: a ratio out of range, or whatever the constructor objects to.
        """
        count("heads", heads)
        count("out_channels", out_channels)
        count("min_key_depth_per_head", min_key_depth_per_head, least=0)
        return cls(
            in_channels,
            out_channels,
            kernel_size,
            dk=key_depth(ratio("kappa", kappa), out_channels, heads, min_key_depth_per_head),
            dv=value_depth(ratio("upsilon", upsilon, most=1), out_channels, heads),
            heads=heads,
            **same,
        )

    def _build_convolution(self) -> None:
        self.conv = None
        if self.dv < self.out_channels:
            self.conv = nn.Conv2d(
                self.in_channels,
                self.out_channels - self.dv,
                self.kernel_size,
                self.stride,
                padding=self.kernel_size // 2,
                bias=self.bias,
            )

    def _build_attention(self) -> None:
        self.kqv = self.mix = self.position = None
        encoding = POSITIONS.load(self.position_name)
        if self.dv == 0:
            return
        position = encoding(
            in_channels=self.in_channels,
            depth_per_head=self.dk // self.heads,
            resolution=self.specification.attention_resolution,
        )
        pixels = self.in_channels + position.extra_channels
        self.kqv = nn.Conv2d(pixels, 2 * self.dk + self.dv, 1, bias=self.bias)
        self.mix = nn.Conv2d(self.dv, self.dv, 1, bias=self.bias)
        self.position = position

    @property
    def specification(self) -> Layer:
        """This layer as the value that ``aabench.cost`` predicts and a sweep measures."""
        return Layer(
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            kernel_size=self.kernel_size,
            stride=self.stride,
            downsample=self.downsample,
            heads=self.heads,
            dk=self.dk,
            dv=self.dv,
            position=self.position_name,
            height=self.resolution[0],
            width=self.resolution[1],
        )

    @property
    def attention(self) -> str:
        """The form's name, or ``auto``; setting it changes how the layer computes, not what."""
        return self._attention

    @attention.setter
    def attention(self, name: str) -> None:
        if not isinstance(name, str):
            raise UsageError(
                "attention is named by text",
                got=type(name).__name__,
                allowed=[AUTO, *ATTENTIONS.names(), "package.module:function"],
            )
        # Loaded here and not when first called: torch.compile cannot trace an import.
        names = CANDIDATES if name == AUTO else (name,)
        self._forms: dict[str, Form] = {each: ATTENTIONS.load(each) for each in names}
        self._attention = name

    def forward(self, x: Tensor) -> Tensor:
        """(B, Fin, H, W) to (B, Fout, ceil(H / stride), ceil(W / stride)).

        Raises:
            UsageError: not a batch of images, larger ones than the position tables cover, or not
                of the weights' data type.
            UnsupportedCase: the form cannot compute this attention; its reason says why.
        """
        if x.dim() != 4:
            raise UsageError("the input is no batch of images", got=tuple(x.shape), allowed="NCHW")
        self._check_data_type(x)
        # Attention first: while its maps are alive, the convolution's output is not yet.
        parts = [self.attended(x)] if self.kqv is not None else []
        if self.conv is not None:
            parts.insert(0, self.conv(x))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def attended(self, x: Tensor) -> Tensor:
        """The attention's channels of the output: (B, dv, ceil(H / stride), ceil(W / stride))."""
        assert self.mix is not None
        inputs = self.attention_inputs(x)
        values = self.attend(inputs)  # (B, Nh, N, dv/Nh)
        mixed: Tensor = self.mix(values.mT.reshape(-1, self.dv, *inputs.resolution))
        output = tuple(-(-side // self.stride) for side in x.shape[2:])
        if inputs.resolution == output:
            return mixed
        return F.interpolate(mixed, size=output, mode="bilinear", align_corners=False)

    def attention_inputs(self, x: Tensor) -> AttentionInputs:
        """What the attention is computed from, for an input (B, Fin, H, W).

        All tensors have one data type, that of the projection: under autocast the reduced one.

        Raises:
            UsageError: there is no attention, or the map is larger than the position tables.
        """
        if self.kqv is None or self.position is None:
            raise UsageError("a layer with dv = 0 has no attention")
        pixels = self.position.encode(self._pooled(x))
        resolution = (pixels.shape[2], pixels.shape[3])
        k, q, v = (
            part.flatten(2).unflatten(1, (self.heads, -1)).mT  # (B, Nh, N, depth / Nh)
            for part in self._projections(pixels)
        )
        tables = self.position.tables(resolution)
        if tables is not None:
            tables = (tables[0].to(q.dtype), tables[1].to(q.dtype))
        return AttentionInputs(q, k, v, tables, resolution)

    def _projections(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, scaled queries and values: three parts of what ``kqv`` gave, in its memory.

        The queries are scaled where they are, because a scaled copy would stay for the backward
        pass beside the others. A chunk that autograd does not know for a view can be so without
        the copies of all gradients that it makes to follow a change to a part of a tensor. That is
        safe as long as nothing else changes that tensor.
        """
        assert self.kqv is not None
        keys_and_queries, v = self.kqv(pixels).split((2 * self.dk, self.dv), dim=1)
        k, q = keys_and_queries.unsafe_chunk(2, dim=1)
        return k, q.mul_((self.dk // self.heads) ** -0.5), v

    def attend(self, inputs: AttentionInputs) -> Tensor:
        """The attention alone, (B, Nh, N, dv/Nh), by this layer's form."""
        return self._forms[self.choice(inputs).name](*inputs)

    def choice(self, inputs: AttentionInputs) -> Choice:
        """The form that ``attend`` takes for these inputs, and why."""
        if self.attention != AUTO:
            return Choice(self.attention, "asked for by name")
        return choose_attention(inputs.situation())

    def resize_positions(self, resolution: int | tuple[int, int]) -> None:
        """Make room for inputs of up to this resolution.

        Relative tables are interpolated linearly between the trained ones. That is **not exact**:
        the offsets between are new, and the output at the old resolution changes too, so train on
        afterwards. The tables become new parameters, to be given to the optimiser again. Nothing
        of this is needed for smaller inputs, which use the central rows as they are.

        Args:
            resolution: (H, W) of the largest input, or one number for both.

        Raises:
            UsageError: no resolution, or a position encoding that cannot be resized.
        """
        before, self.resolution = self.resolution, resolution_pair(resolution)
        if self.position is None:
            return
        resize = getattr(self.position, "resize", None)
        if resize is None:
            self.resolution = before
            raise UsageError(
                f"the position encoding {self.position_name!r} cannot be resized",
                instead="give it a resize(resolution) method, or build the layer anew",
            )
        resize(self.specification.attention_resolution)

    def extra_repr(self) -> str:
        """Every argument, and what ``auto`` resolves to where the parameters are now."""
        attention = self.attention
        if self.kqv is None:
            attention = f"{attention} (none: dv=0)"
        elif attention == AUTO:
            attention = f"{attention} -> {choose_attention(self._expected_situation()).name}"
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"dk={self.dk}, dv={self.dv}, heads={self.heads}, stride={self.stride}, "
            f"position={self.position_name}, attention={attention}, "
            f"resolution={self.resolution}, bias={self.bias}, downsample={self.downsample}"
        )

    def _check_data_type(self, x: Tensor) -> None:
        weight = next(self.parameters())
        if x.dtype != weight.dtype and not is_autocast_on(x.device.type):
            raise UsageError(
                "the input's data type is not that of the weights",
                got=str(x.dtype),
                allowed=str(weight.dtype),
                instead="convert one with .to(), or run the layer under torch.autocast",
            )

    def _pooled(self, x: Tensor) -> Tensor:
        step = self.stride * self.downsample
        if step == 1:
            return x
        reach = step // 2
        return F.avg_pool2d(x, 2 * reach + 1, step, padding=reach, count_include_pad=False)

    def _expected_situation(self) -> Situation:
        """That of a full-size input of the parameters' kind, in the mode the layer is in."""
        assert self.kqv is not None and self.position is not None
        weight = self.kqv.weight
        height, width = self.specification.attention_resolution
        return Situation(
            device_type=weight.device.type,
            capability=capability_of(weight.device),
            precision=precision_of(weight.device, weight.dtype),
            training=self.training and torch.is_grad_enabled(),
            tokens=height * width,
            key_depth_per_head=self.dk // self.heads,
            value_depth_per_head=self.dv // self.heads,
            height=height,
            width=width,
            has_tables=self.position.tables((height, width)) is not None,
        )
