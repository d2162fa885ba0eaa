"""Convolutions: their sizes and their multiply-accumulates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import Column
from aabench.cost.rounding import parts_of


@dataclass(frozen=True, eq=False)
class Convolution:
    """Convolutions without bias whose padding keeps the resolution, one per case.

    Attributes:
        images: B.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel.
        stride: in pixels.
        height: of the input.
        width: of the input.
        is_strided: whether the stride is above 1, for all cases alike.

    """

    images: Column
    in_channels: Column
    out_channels: Column
    kernel_size: Column
    stride: Column
    height: Column
    width: Column
    is_strided: bool

    @cached_property
    def out_height(self) -> Column:
        """Height of the output, ceil(H / stride)."""
        return parts_of(self.height, self.stride)

    @cached_property
    def out_width(self) -> Column:
        """Width of the output, ceil(W / stride)."""
        return parts_of(self.width, self.stride)

    @cached_property
    def in_pixels(self) -> Column:
        """Pixels of one input image."""
        return self.height * self.width

    @cached_property
    def out_pixels(self) -> Column:
        """Pixels of one output image."""
        return self.out_height * self.out_width

    @cached_property
    def is_pointwise(self) -> NDArray[np.bool_]:
        """Where the kernel is 1x1."""
        return np.equal(self.kernel_size, 1)

    @cached_property
    def weights(self) -> Column:
        """Elements of the weight."""
        weights: Column = self.in_channels * self.out_channels * self.kernel_size**2
        return weights

    @cached_property
    def inputs(self) -> Column:
        """Elements of the input batch."""
        return self.images * self.in_channels * self.in_pixels

    @cached_property
    def outputs(self) -> Column:
        """Elements of the output batch."""
        return self.images * self.out_channels * self.out_pixels

    @cached_property
    def macs(self) -> Column:
        """Multiply-accumulates of the forward pass; the two products of backward are as many each."""
        return self.images * self.out_pixels * self.weights
