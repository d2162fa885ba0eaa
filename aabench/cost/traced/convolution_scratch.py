"""The convolution scratch: what one convolution of a trace allocates on the CPU beside its results."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from torch import Tensor

from aabench.cost.columns import Column
from aabench.cost.convolution import Convolution
from aabench.cost.convolution_copies import GROUP
from aabench.cost.convolution_passes import ConvolutionPasses
from aabench.cost.execution import Execution
from aabench.cost.traced.script import Script, ScriptedTimeline


class ConvolutionSizes(NamedTuple):
    """What decides the copies of a convolution.

    Attributes:
        images: B.
        channels: of input and output.
        sides: height and width of the input.
        out_sides: and of the output.
        kernel: height and width of the window.
        stride: vertical and horizontal.
        groups: into which the channels are split.
        item: bytes of an element.
    """

    images: int
    channels: tuple[int, int]
    sides: tuple[int, int]
    out_sides: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    groups: int
    item: int

    @classmethod
    def of(
        cls, x: Tensor, weight: Tensor, y: Tensor, *, stride: list[int], groups: int
    ) -> ConvolutionSizes:
        """Those of a convolution of x to y, all (B, C, H, W)."""
        return cls(
            images=x.shape[0],
            channels=(x.shape[1], y.shape[1]),
            sides=(x.shape[2], x.shape[3]),
            out_sides=(y.shape[2], y.shape[3]),
            kernel=(weight.shape[2], weight.shape[3]),
            stride=(stride[0], stride[-1]),
            groups=groups,
            item=x.element_size(),
        )

    def regular(self) -> Convolution | None:
        """As the closed forms know it: one group, square, its padding keeping the resolution."""
        is_square = self.kernel[0] == self.kernel[1] and self.stride[0] == self.stride[1]
        stride = self.stride[0]
        kept = tuple(-(-side // stride) for side in self.sides)
        if self.groups > 1 or not is_square or kept != self.out_sides:
            return None
        return Convolution(
            images=_column(self.images),
            in_channels=_column(self.channels[0]),
            out_channels=_column(self.channels[1]),
            kernel_size=_column(self.kernel[0]),
            stride=_column(stride),
            height=_column(self.sides[0]),
            width=_column(self.sides[1]),
            is_strided=stride > 1,
        )

    def copies(self, execution: Execution) -> tuple[int, int, int]:
        """Bytes of input, weight and output as copied, for any convolution.

        Channels are in whole groups; where they are innermost anyway, only the weight is copied.
        """
        if execution.channels_last:
            return 0, self.weights * self.item, 0
        source, result = (
            self.images * _in_groups(channels) * height * width * self.item
            for channels, (height, width) in zip(
                self.channels, (self.sides, self.out_sides), strict=True
            )
        )
        return source, self.weights * self.item, result

    @property
    def weights(self) -> int:
        """Elements of the weight."""
        window = self.kernel[0] * self.kernel[1]
        return self.channels[0] * self.channels[1] // self.groups * window

    @property
    def inputs(self) -> int:
        """Bytes of the input."""
        return self.images * self.channels[0] * self.sides[0] * self.sides[1] * self.item

    @property
    def outputs(self) -> int:
        """Bytes of the output."""
        return self.images * self.channels[1] * self.out_sides[0] * self.out_sides[1] * self.item


@lru_cache(maxsize=4096)
def forward_blocks(sizes: ConvolutionSizes, execution: Execution) -> Script:
    """What comes and goes in the forward pass."""
    memory = ScriptedTimeline()
    convolution = sizes.regular()
    if convolution is not None:
        ConvolutionPasses(convolution, memory, execution).forward()
        return memory.script
    copies = [memory.copy(size) for size in sizes.copies(execution)]
    *inputs, result = copies
    memory.free(*inputs)
    memory.result(sizes.outputs)
    memory.free(result)
    return memory.script


@lru_cache(maxsize=4096)
def backward_blocks(
    sizes: ConvolutionSizes, execution: Execution, to_input: bool, to_weight: bool
) -> Script:
    """What comes and goes in the backward pass, to the input first."""
    memory = ScriptedTimeline()
    convolution = sizes.regular()
    if convolution is not None:
        passes = ConvolutionPasses(convolution, memory, execution)
        if to_input:
            passes.backward_input()
        if to_weight:
            passes.backward_weight()
        return memory.script
    if to_input:
        source, *others = (memory.copy(size) for size in sizes.copies(execution))
        memory.free(*others)
        memory.result(sizes.inputs)
        memory.free(source)
    if to_weight:
        source, weight, result = (memory.copy(size) for size in sizes.copies(execution))
        memory.free(source, result)
        memory.result(sizes.weights * sizes.item)
        memory.free(weight)
    return memory.script


def unfolded_columns(sizes: ConvolutionSizes) -> int:
    """Bytes of the unfolded input batch, from which torch computes what its library does not."""
    if sizes.kernel == (1, 1) and sizes.stride == (1, 1):
        return 0
    pixels = sizes.out_sides[0] * sizes.out_sides[1]
    window = sizes.kernel[0] * sizes.kernel[1]
    return sizes.images * sizes.channels[0] // sizes.groups * window * pixels * sizes.item


def _in_groups(channels: int) -> int:
    """Channels padded to whole groups of the library's layouts."""
    return -(-channels // GROUP) * GROUP


def _column(number: int) -> Column:
    return np.array([number], np.int64)
