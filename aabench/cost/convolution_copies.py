"""The copies: what oneDNN and torch allocate for a convolution on the CPU beside inputs and results.

oneDNN computes in layouts of its own, with channels in groups of 16. Unless channels are innermost
already, input, weight and result are copied into and out of them. These copies are allocator blocks
like any other, and decide the peak where there is little attention. Its kernels also take scratch
memory, in half precision for sums in single precision above all. A few small single-precision
convolutions of one image are computed by torch itself, from the input unfolded into columns.

The rules were read off the allocator's events on a CPU with vectors of 512 bits and checked against
oneDNN's sources where these decide by a cost; other CPUs group 8 channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import Column
from aabench.cost.convolution import Convolution
from aabench.cost.execution import SINGLE, Execution
from aabench.cost.rounding import padded_to
from aabench.cost.weight_sums import (
    input_channels_at_once,
    pointwise_sums,
    spatial_sums,
    unfolded_sums,
)

GROUP = 16
"""Channels in a group of oneDNN's layouts."""

SMALL_GROUP = 8
"""Channels in a group where single precision gradients of weights have few input channels."""

FEW_CHANNELS = 3
"""Up to so many, they read the input as it is."""

NATIVE_ELEMENTS = 20_480
"""Elements of a single image up to which torch computes small kernels itself (``use_mkldnn``)."""

NATIVE_KERNEL_SIZE = 3
"""Side of the largest such kernel."""

NATIVE_IMAGES = 15
"""Images up to which one thread alone computes 1x1 convolutions without oneDNN."""

STRIDED_BLOCKS = (16, 32)
"""Input channels to which strided kernels pad the weight; more than these to multiples of 64."""

STRIDED_SUMS = 18 * 1024
"""Bytes of sums that each thread keeps beside that image, about."""

CHANNELS_PER_PIXEL = 0.4
"""From so many channels a pixel on, threads share the channels of one image."""


@dataclass(frozen=True, slots=True, eq=False)
class PassCopies:
    """Bytes of what one pass of a convolution allocates beside its inputs and results.

    Attributes:
        source: the input, or its gradient, in the library's layout.
        weight: the weight, or its gradient, likewise.
        result: the output, or its gradient, likewise.
        scratch: what the kernel works in.
        columns: the unfolded input of a convolution that torch computes itself.

    """

    source: Column
    weight: Column
    result: Column
    scratch: Column
    columns: Column


def forward_copies(convolution: Convolution, execution: Execution) -> PassCopies:
    """Copies of the forward pass: an input with less than one group of channels is read as it is."""
    c, item = convolution, execution.computed
    plain = (c.in_channels < GROUP) & ~c.is_pointwise
    inputs = np.where(plain, c.in_channels, padded_to(c.in_channels, GROUP))
    outputs = padded_to(c.out_channels, GROUP)
    subsampled = _subsampled(c, execution, padded_to(c.in_channels, GROUP))
    return _on_cpu(
        c,
        execution,
        source=np.where(plain, 0, c.images * inputs * c.in_pixels * item),
        weight=inputs * outputs * c.kernel_size**2 * item,
        result=_grouped_result(c, execution),
        scratch=subsampled + _accumulators(c, execution, outputs, c.out_pixels),
    )


def input_gradient_copies(convolution: Convolution, execution: Execution) -> PassCopies:
    """Copies of the backward pass to the input: in whole groups, or channels last if strided."""
    c, item = convolution, execution.computed
    if c.is_strided:
        block = np.select([c.in_channels <= size for size in STRIDED_BLOCKS], STRIDED_BLOCKS, 64)
        return _on_cpu(
            c,
            execution,
            source=c.inputs * item,
            weight=padded_to(c.in_channels, block) * c.out_channels * c.kernel_size**2 * item,
            result=c.outputs * item,
            scratch=_bordered(c, execution),
        )
    inputs = padded_to(c.in_channels, GROUP)
    return _on_cpu(
        c,
        execution,
        source=c.images * inputs * c.in_pixels * item,
        weight=inputs * padded_to(c.out_channels, GROUP) * c.kernel_size**2 * item,
        result=_grouped_result(c, execution),
        scratch=_accumulators(c, execution, inputs, c.in_pixels),
    )


def weight_gradient_copies(convolution: Convolution, execution: Execution) -> PassCopies:
    """Copies of the backward pass to the weight; few input channels are padded less, or not."""
    c, item = convolution, execution.computed
    outputs = padded_to(c.out_channels, GROUP)
    result = _grouped_result(c, execution)
    if execution.is_half:
        plain = (c.in_channels < GROUP) & ~c.is_pointwise
        inputs = np.where(plain, c.in_channels, padded_to(c.in_channels, GROUP))
        unfolds = plain & (c.out_channels % GROUP != 0)
        outputs = np.where(unfolds, c.out_channels, outputs)
        result = np.where(unfolds, 0, result)
        spatial = spatial_sums(c, inputs, outputs, execution.threads)
        pointwise = pointwise_sums(c, inputs, outputs, execution.threads)
        scratch = np.where(_runs_pointwise(c), pointwise, spatial)
        scratch = np.where(unfolds, unfolded_sums(c, execution.threads), scratch)
    else:
        plain = (c.in_channels <= FEW_CHANNELS) & ~c.is_pointwise
        small = (c.in_channels <= SMALL_GROUP) & ~c.is_pointwise
        inputs = np.where(
            small, padded_to(c.in_channels, SMALL_GROUP), padded_to(c.in_channels, GROUP)
        )
        inputs = np.where(plain, c.in_channels, inputs)
        scratch = np.zeros_like(c.images)
    return _on_cpu(
        c,
        execution,
        source=np.where(plain, 0, c.images * inputs * c.in_pixels * item),
        weight=inputs * outputs * c.kernel_size**2 * item,
        result=result,
        scratch=scratch + _subsampled(c, execution, input_channels_at_once(inputs)),
    )


def _on_cpu(
    convolution: Convolution,
    execution: Execution,
    *,
    source: Column,
    weight: Column,
    result: Column,
    scratch: Column,
) -> PassCopies:
    """The copies of a pass where oneDNN runs it, the columns where torch does."""
    c, item = convolution, execution.computed
    native = _is_native(c, execution)
    unfolds = native & ~(c.is_pointwise & (not c.is_strided))
    columns = c.in_channels * c.kernel_size**2 * c.out_pixels * item
    return PassCopies(
        source=np.where(native, 0, source),
        weight=np.where(native, 0, weight),
        result=np.where(native, 0, result),
        scratch=np.where(native, 0, scratch),
        columns=np.where(unfolds, columns, 0),
    )


def _grouped_result(convolution: Convolution, execution: Execution) -> Column:
    """Bytes of the output batch in whole groups of channels."""
    c = convolution
    size: Column = c.images * padded_to(c.out_channels, GROUP) * c.out_pixels * execution.computed
    return size


def _is_native(convolution: Convolution, execution: Execution) -> NDArray[np.bool_]:
    """Where torch computes a convolution itself."""
    c = convolution
    if execution.is_half or execution.channels_last:
        return np.zeros(c.images.shape, np.bool_)
    small = (c.images == 1) & (c.kernel_size <= NATIVE_KERNEL_SIZE) & (c.inputs <= NATIVE_ELEMENTS)
    if c.is_strided or execution.threads > 1:
        return np.asarray(small)
    alone = c.is_pointwise & (c.images <= NATIVE_IMAGES)
    return np.asarray(small | alone)


def _runs_pointwise(convolution: Convolution) -> NDArray[np.bool_]:
    """Where the kernels for 1x1 convolutions run: the stride must divide both sides."""
    c = convolution
    divides = (c.height % c.stride == 0) & (c.width % c.stride == 0)
    return np.asarray(c.is_pointwise & divides)


def _subsampled(convolution: Convolution, execution: Execution, channels: Column) -> Column:
    """Bytes in which strided 1x1 kernels collect the pixels that they need of some channels."""
    c = convolution
    if not c.is_strided:
        return np.zeros_like(c.images)
    image = channels * c.out_pixels * execution.computed
    return np.where(_runs_pointwise(c), execution.threads * image, 0)


def _bordered(convolution: Convolution, execution: Execution) -> Column:
    """Bytes in which strided kernels copy an output gradient with its border: an image a thread."""
    c = convolution
    border = (c.kernel_size - 1) // c.stride
    pixels = (c.out_height + border) * (c.out_width + border)
    image: Column = padded_to(c.out_channels, GROUP) * pixels * execution.computed
    return execution.threads * (image + STRIDED_SUMS)


def _accumulators(
    convolution: Convolution, execution: Execution, channels: Column, pixels: Column
) -> Column:
    """Bytes in which 1x1 kernels in half precision sum up their result: an image a thread.

    Where there are fewer images than threads and many channels for their pixels, threads share the
    channels of an image instead.
    """
    c = convolution
    if not execution.is_half:
        return np.zeros_like(c.images)
    own_image = (c.images >= execution.threads) | (channels < CHANNELS_PER_PIXEL * pixels)
    images = np.where(own_image, execution.threads, c.images)
    return np.where(_runs_pointwise(c), images * channels * pixels * SINGLE, 0)
