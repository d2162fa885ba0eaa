"""The shapes: the parts of an augmented convolution as the sizes that their costs follow from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aabench.cost.attention import Attention
from aabench.cost.columns import Column, LayerColumns
from aabench.cost.convolution import Convolution
from aabench.cost.groups import Setting
from aabench.cost.rounding import parts_of

EXTRA_CHANNELS = {"none": 0, "relative": 0, "sine": 0, "coordconv": 3}
"""Channels that each position encoding known here concatenates to the attention's input."""

WITH_TABLES = frozenset({"relative"})
"""The position encodings that add relative logits."""

ENCODING_INPUT = frozenset({"sine", "coordconv"})
"""The position encodings that make the attention's input anew."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerShapes:
    """The parts of the layers of one group.

    Attributes:
        inputs: elements of the input batch.
        outputs: elements of the output batch.
        pooled: elements of the attention's input, pooled.
        upsampled: elements of the attention's output at the layer's resolution.
        convolution: the k x k convolution; None if there is none in this group.
        kqv: the 1x1 convolution to keys, queries and values; None without attention.
        mix: the 1x1 convolution that mixes the heads; None without attention.
        attention: what lies between; None without attention.
        tables: elements of the tables of rows and columns; empty without them.

    """

    inputs: Column
    outputs: Column
    pooled: Column
    upsampled: Column
    convolution: Convolution | None
    kqv: Convolution | None
    mix: Convolution | None
    attention: Attention | None
    tables: tuple[Column, ...]

    @classmethod
    def of(cls, setting: Setting, layers: LayerColumns) -> LayerShapes:
        """The shapes of some rows that share a setting."""
        out_pixels = parts_of(layers.height, layers.stride) * parts_of(layers.width, layers.stride)
        in_pixels = layers.height * layers.width
        convolution = kqv = mix = attention = None
        tables: tuple[Column, ...] = ()
        tokens = np.zeros_like(in_pixels)
        if setting.has_convolution:
            convolution = Convolution(
                images=layers.batch,
                in_channels=layers.in_channels,
                out_channels=layers.out_channels - layers.dv,
                kernel_size=layers.kernel_size,
                stride=layers.stride,
                height=layers.height,
                width=layers.width,
                is_strided=setting.is_strided,
            )
        if setting.attention is not None:
            attention = _attention(setting, layers)
            tokens = attention.tokens
            channels = layers.in_channels + EXTRA_CHANNELS[setting.position]
            kqv = _pointwise(attention, channels, 2 * layers.dk + layers.dv)
            mix = _pointwise(attention, layers.dv, layers.dv)
            if attention.has_tables:
                sides = (attention.height, attention.width)
                tables = tuple((2 * side - 1) * attention.key_depth for side in sides)
        return cls(
            inputs=layers.batch * layers.in_channels * in_pixels,
            outputs=layers.batch * layers.out_channels * out_pixels,
            pooled=layers.batch * layers.in_channels * tokens,
            upsampled=layers.batch * layers.dv * out_pixels,
            convolution=convolution,
            kqv=kqv,
            mix=mix,
            attention=attention,
            tables=tables,
        )

    @property
    def parameters(self) -> tuple[Column, ...]:
        """Elements of each parameter, in the order in which an optimiser meets them."""
        convolutions = (self.convolution, self.kqv, self.mix)
        return (*(part.weights for part in convolutions if part is not None), *self.tables)


def _attention(setting: Setting, layers: LayerColumns) -> Attention:
    step = layers.stride * layers.downsample
    return Attention(
        batch=layers.batch,
        heads=layers.heads,
        key_depth=layers.dk // layers.heads,
        value_depth=layers.dv // layers.heads,
        height=parts_of(layers.height, step),
        width=parts_of(layers.width, step),
        has_tables=setting.position in WITH_TABLES,
        trains=setting.trains,
        is_single_image=setting.is_single_image,
        is_single_head=setting.is_single_head,
        has_scalar_keys=setting.has_scalar_keys,
        has_scalar_values=setting.has_scalar_values,
        execution=setting.execution,
    )


def _pointwise(attention: Attention, inputs: Column, outputs: Column) -> Convolution:
    """A 1x1 convolution at the attention's resolution."""
    one = np.ones_like(inputs)
    return Convolution(
        images=attention.batch,
        in_channels=inputs,
        out_channels=outputs,
        kernel_size=one,
        stride=one,
        height=attention.height,
        width=attention.width,
        is_strided=False,
    )
