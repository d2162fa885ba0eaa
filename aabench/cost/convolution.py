"""Convolutions: what one costs, and what torch and oneDNN allocate while it runs forward and backward.

On the CPU oneDNN computes in layouts of its own: channels in groups of 16. Unless channels are
innermost already, input, weight and result are copied into and out of them. These copies are
allocator blocks like any other, and decide the peak where there is little attention. A few small
single-precision convolutions of one image are computed by torch itself, from the input unfolded
into columns. Elsewhere than on the CPU only inputs and results are known; what cuDNN takes as
workspace is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import Column
from aabench.cost.execution import SINGLE, Execution
from aabench.cost.timeline import GRADIENTS, OUTPUT, WORKSPACE, Block, Timeline

GROUP = 16
"""Channels in a group of oneDNN's layouts for vectors of 512 bits."""

UNGROUPED_CHANNELS = 4
"""An input of up to so many channels is read as it is: groups would be mostly padding."""

NATIVE_ELEMENTS = 20_480
"""Elements of a single image up to which torch computes small kernels itself (``use_mkldnn``)."""

NATIVE_IMAGES = 15
"""Images up to which one thread alone computes 1x1 convolutions without oneDNN."""


def grouped(channels: Column) -> Column:
    """Channels after padding to whole groups."""
    return -(-channels // GROUP) * GROUP


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """Convolutions without bias whose padding keeps the resolution, one per case.

    Attributes:
        images: B.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel.
        in_pixels: pixels of one input image.
        out_pixels: pixels of one output image.
        strided: whether the stride is above 1, for all cases alike.

    """

    images: Column
    in_channels: Column
    out_channels: Column
    kernel_size: Column
    in_pixels: Column
    out_pixels: Column
    strided: bool = False

    @property
    def weights(self) -> Column:
        """Elements of the weight."""
        return self.in_channels * self.out_channels * self.kernel_size**2

    @property
    def inputs(self) -> Column:
        """Elements of the input batch."""
        return self.images * self.in_channels * self.in_pixels

    @property
    def outputs(self) -> Column:
        """Elements of the output batch."""
        return self.images * self.out_channels * self.out_pixels

    @property
    def macs(self) -> Column:
        """Multiply-accumulates of the forward pass; the two products of backward are as many each."""
        return self.images * self.out_pixels * self.weights

    def forward(self, memory: Timeline, execution: Execution, kind: str = OUTPUT) -> Block:
        """Compute the output; what is left is one block of this kind with ``outputs`` elements."""
        size = self.outputs * execution.computed
        if not execution.on_cpu:
            return memory.allocate(kind, size)
        copies = _Copies.of(self, execution)
        if execution.channels_last:
            output = memory.allocate(kind, size)
            memory.scratch(WORKSPACE, copies.weight)
            return output
        accumulators = memory.allocate(WORKSPACE, copies.accumulators(self.out_channels * self.out_pixels))
        columns = memory.allocate(WORKSPACE, copies.columns)
        source = memory.allocate(WORKSPACE, copies.source)
        weight = memory.allocate(WORKSPACE, copies.weight)
        result = memory.allocate(WORKSPACE, copies.result)
        memory.free(weight, source, accumulators)
        output = memory.allocate(kind, size)
        memory.free(result, columns)
        return output

    def backward(self, memory: Timeline, execution: Execution) -> tuple[Block, Block]:
        """The gradients of input and weight from a contiguous gradient of the output.

        Returns:
            The block of the input's gradient and that of the weight's.

        """
        if not execution.on_cpu:
            of_input = memory.allocate(GRADIENTS, self.inputs * execution.computed)
            return of_input, memory.allocate(GRADIENTS, self.weights * execution.computed)
        copies = _Copies.of(self, execution)
        if execution.channels_last:
            return self._backward_channels_last(memory, execution, copies)
        of_input = self._backward_input(memory, execution, copies)
        return of_input, self._backward_weight(memory, execution, copies)

    def _backward_input(self, memory: Timeline, execution: Execution, copies: _Copies) -> Block:
        size = self.inputs * execution.computed
        result = memory.allocate(WORKSPACE, copies.result)
        weight = memory.allocate(WORKSPACE, copies.weight)
        source = memory.allocate(WORKSPACE, copies.source)
        memory.scratch(WORKSPACE, copies.accumulators(self.in_channels * self.in_pixels))
        memory.free(weight, result)
        of_input = memory.allocate(GRADIENTS, size)
        if self.strided:
            # The strided kernels give channels last, which is copied once more.
            channels_last = of_input
            of_input = memory.allocate(GRADIENTS, np.where(copies.native, 0, size))
            memory.free(channels_last)
        memory.free(source)
        return of_input

    def _backward_weight(self, memory: Timeline, execution: Execution, copies: _Copies) -> Block:
        result = memory.allocate(WORKSPACE, copies.result)
        source = memory.allocate(WORKSPACE, copies.source)
        weight = memory.allocate(WORKSPACE, copies.weight)
        memory.scratch(WORKSPACE, copies.reduction)
        memory.free(source, result)
        of_weight = memory.allocate(GRADIENTS, self.weights * execution.computed)
        memory.scratch(WORKSPACE, copies.columns)
        memory.free(weight)
        return of_weight

    def _backward_channels_last(
        self, memory: Timeline, execution: Execution, copies: _Copies
    ) -> tuple[Block, Block]:
        of_input = memory.allocate(GRADIENTS, self.inputs * execution.computed)
        memory.scratch(WORKSPACE, copies.weight)
        weight = memory.allocate(WORKSPACE, copies.weight)
        memory.scratch(WORKSPACE, copies.reduction)
        plain = memory.allocate(WORKSPACE, self.weights * execution.computed)
        of_weight = memory.allocate(GRADIENTS, self.weights * execution.computed)
        memory.free(plain, weight)
        return of_input, of_weight


@dataclass(frozen=True, slots=True, eq=False)
class _Copies:
    """Bytes of what a convolution on the CPU allocates beside its inputs and results.

    Attributes:
        native: whether torch computes the case itself, without oneDNN.
        source: the input in oneDNN's layout.
        weight: the weight, likewise.
        result: the output, likewise.
        columns: the unfolded input of a native convolution.
        reduction: what the gradient of the weight is summed up in.

    """

    native: NDArray[np.bool_]
    source: Column
    weight: Column
    result: Column
    columns: Column
    reduction: Column
    _per_thread: Column

    @classmethod
    def of(cls, convolution: Convolution, execution: Execution) -> _Copies:
        """The copies of a convolution."""
        item, c = execution.computed, convolution
        is_pointwise = c.kernel_size == 1
        ungrouped = c.in_channels <= UNGROUPED_CHANNELS
        inputs = np.where(ungrouped, c.in_channels, grouped(c.in_channels))
        outputs = grouped(c.out_channels)
        image = grouped(c.in_channels) * c.in_pixels + outputs * c.out_pixels
        columns = c.in_channels * c.kernel_size**2 * c.out_pixels * item
        weight = inputs * outputs * c.kernel_size**2
        zero = np.zeros_like(c.images)
        native = _is_native(c, execution)
        return cls(
            native=native,
            source=np.where(native | ungrouped, 0, c.images * inputs * c.in_pixels * item),
            weight=np.where(native, 0, weight * item),
            result=np.where(native, 0, c.images * outputs * c.out_pixels * item),
            columns=np.where(native & ~(is_pointwise & (not c.strided)), columns, 0),
            reduction=_reduction(weight, image, is_pointwise, execution)
            if execution.is_half
            else zero,
            _per_thread=np.where(is_pointwise, np.minimum(c.images, execution.threads), 0)
            if execution.is_half
            else zero,
        )

    def accumulators(self, image_elements: Column) -> Column:
        """Bytes in which 1x1 convolutions in half precision sum up: an image for each thread."""
        return self._per_thread * image_elements * SINGLE


def _is_native(convolution: Convolution, execution: Execution) -> NDArray[np.bool_]:
    """Where torch computes a convolution itself, without oneDNN."""
    c = convolution
    if execution.is_half:
        return np.zeros(c.images.shape, np.bool_)
    small = (c.images == 1) & (c.kernel_size <= 3) & (c.inputs <= NATIVE_ELEMENTS)
    if c.strided or execution.threads > 1:
        return small
    return small | ((c.kernel_size == 1) & (c.images <= NATIVE_IMAGES))


def _reduction(
    weight: Column, image: Column, is_pointwise: NDArray[np.bool_], execution: Execution
) -> Column:
    """Bytes for the gradient of a half-precision weight: single precision sums, and transposed images.

    Threads that share the images and not the channels, as they do where images outweigh weights,
    each sum up and transpose on their own.
    """
    sharing = np.where((image >= weight) & ~is_pointwise, execution.threads, 1)
    transposed = np.where(is_pointwise, 0, image * execution.computed)
    return sharing * (weight * SINGLE + transposed)
