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

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aabench.cost import single_weight_sums, strided_gradient
from aabench.cost.columns import Column
from aabench.cost.convolution import Convolution
from aabench.cost.execution import Execution
from aabench.cost.pixel_sums import ALIGNMENT, PixelSums
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
"""Channels in a group where single precision gradients of weights have less than one group."""

PAIR = 2
"""Channels that half-precision products take together."""

FEW_CHANNELS = 3
"""Up to so many, they read the input as it is."""

NATIVE_ELEMENTS = 20_480
"""Elements of a single image up to which torch computes small kernels itself (``use_mkldnn``)."""

NATIVE_KERNEL_SIZE = 3
"""Side of the largest such kernel."""

NATIVE_IMAGES = 15
"""Images up to which one thread alone computes 1x1 convolutions without oneDNN."""


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
    plain = (c.in_channels < GROUP) & ~_runs_pointwise(c)
    few = padded_to(c.in_channels, PAIR) if execution.is_half else c.in_channels
    inputs = np.where(plain, few, padded_to(c.in_channels, GROUP))
    outputs = padded_to(c.out_channels, GROUP)
    subsampled = _subsampled(c, execution, padded_to(c.in_channels, GROUP))
    return _on_cpu(
        c,
        execution,
        source=np.where(plain, 0, c.images * inputs * c.in_pixels * item),
        weight=inputs * outputs * c.kernel_size**2 * item,
        result=_grouped_result(c, execution),
        scratch=subsampled + _sums(c, execution, outputs, padded_to(c.in_channels, GROUP)),
    )


def input_gradient_copies(convolution: Convolution, execution: Execution) -> PassCopies:
    """Copies of the backward pass to the input: in whole groups, or channels last if strided."""
    c, item = convolution, execution.computed
    if c.is_strided:
        return _on_cpu(
            c,
            execution,
            source=c.inputs * item,
            weight=strided_gradient.weight_bytes(c, execution),
            result=c.outputs * item,
            scratch=strided_gradient.scratch_bytes(c, execution),
        )
    inputs = padded_to(c.in_channels, GROUP)
    return _on_cpu(
        c,
        execution,
        source=c.images * inputs * c.in_pixels * item,
        weight=inputs * padded_to(c.out_channels, GROUP) * c.kernel_size**2 * item,
        result=_grouped_result(c, execution),
        scratch=_sums(c, execution, inputs, padded_to(c.out_channels, GROUP)),
    )


def weight_gradient_copies(
    convolution: Convolution, execution: Execution, *, in_steps: bool = True
) -> PassCopies:
    """Copies of the backward pass to the weight; few input channels are padded less, or not.

    Args:
        convolution: its sizes.
        execution: where and in which numbers it runs.
        in_steps: whether to count single-precision sums, which grow with the batch in steps.

    """
    c, item = convolution, execution.computed
    if execution.is_half:
        padding = _half_padding(c, execution.threads)
    else:
        padding = _single_padding(c, execution.threads if in_steps else 1)
    inputs, outputs, source, result, sums = padding
    return _on_cpu(
        c,
        execution,
        source=c.images * source * c.in_pixels * item,
        weight=inputs * outputs * c.kernel_size**2 * item,
        result=c.images * result * c.out_pixels * item,
        scratch=sums + _subsampled(c, execution, input_channels_at_once(inputs)),
    )


class _Padding(NamedTuple):
    """How a gradient of weights is computed.

    Attributes:
        inputs: input channels of the weight's gradient, padded.
        outputs: its output channels.
        source: channels of the input as copied; 0 where it is read as it is.
        result: channels of the output's gradient likewise.
        sums: bytes of scratch memory.

    """

    inputs: Column
    outputs: Column
    source: Column
    result: Column
    sums: Column


def _half_padding(c: Convolution, threads: int) -> _Padding:
    """In half precision; with few channels of either kind the input is unfolded."""
    is_pointwise = _runs_pointwise(c)
    plain = (c.in_channels < GROUP) & ~is_pointwise
    unfolds = plain & (c.out_channels % GROUP != 0)
    inputs = np.where(plain, c.in_channels, padded_to(c.in_channels, GROUP))
    outputs = np.where(unfolds, c.out_channels, padded_to(c.out_channels, GROUP))
    sums = _either(
        is_pointwise,
        lambda: pointwise_sums(c, inputs, outputs, threads),
        lambda: spatial_sums(c, inputs, outputs, threads),
    )
    return _Padding(
        inputs,
        outputs,
        source=np.where(plain, 0, inputs),
        result=np.where(unfolds, 0, outputs),
        sums=np.where(unfolds, unfolded_sums(c, threads), sums),
    )


def _single_padding(c: Convolution, threads: int) -> _Padding:
    """In single precision; with few channels kernels for vectors of half the length run."""
    is_pointwise = _runs_pointwise(c)
    plain = (c.in_channels <= FEW_CHANNELS) & ~is_pointwise
    is_short = (c.in_channels < GROUP) & ~is_pointwise & ~plain
    group = np.where(is_short, SMALL_GROUP, GROUP)
    inputs = np.where(plain, c.in_channels, padded_to(c.in_channels, group))
    outputs = padded_to(c.out_channels, group)
    sums = _either(
        is_pointwise,
        lambda: single_weight_sums.pointwise_sums(c, inputs, outputs, threads),
        lambda: single_weight_sums.spatial_sums(c, inputs, outputs, threads),
    )
    return _Padding(
        inputs,
        outputs,
        source=np.where(plain, 0, inputs),
        result=outputs,
        sums=np.where(is_short, 0, sums),
    )


def _either(
    where: NDArray[np.bool_], one: Callable[[], Column], other: Callable[[], Column]
) -> Column:
    """One of two columns in each row; what no row wants is not computed."""
    if where.all():
        return one()
    return np.where(where, one(), other()) if where.any() else other()


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
    return np.where(_runs_pointwise(c), execution.threads * image + ALIGNMENT, 0)


def _sums(
    convolution: Convolution, execution: Execution, channels: Column, summands: Column
) -> Column:
    """Bytes in which 1x1 kernels in half precision sum up a result of so many channels."""
    c = convolution
    if not execution.is_half:
        return np.zeros_like(c.images)
    sums = PixelSums(
        images=c.images,
        channels=channels,
        summands=summands,
        height=c.out_height,
        pixels=c.out_pixels,
        threads=execution.threads,
    )
    return _either(_runs_pointwise(c), sums.size, lambda: np.zeros_like(c.images))
