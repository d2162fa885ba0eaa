"""The strided gradient: what oneDNN lays out on the CPU for the input's gradient of a strided convolution.

The kernel reads and writes images with channels innermost, and the weight in blocks of input
channels. Beside these each thread has buffers of its own, which oneDNN sizes in whole pages, counted
in elements rather than bytes, and places on page boundaries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import Column
from aabench.cost.convolution import Convolution
from aabench.cost.execution import SINGLE, Execution
from aabench.cost.rounding import padded_to

PAGE = 4096
"""Bytes of a page, and the elements to whose multiple a buffer is padded."""

OPERAND = 40
"""Bytes that name the operands of one small product, of which a kernel's window needs as many as it
has pixels (``brgemm_batch_element_t``)."""

PAIR = 2
"""Output channels that half-precision products take together."""

VECTOR = 16
"""Sums in a vector of 512 bits, in whose multiples input channels are taken at once."""

LARGE_IMAGE = 64
"""Input pixels, in squares of the stride, from which on 1x1 kernels take 64 input channels at once."""

LARGE_RESULT = 81
"""Output pixels, in squares of the stride, above which larger kernels take 48 input channels."""

FEW_BYTES = 768
"""Bytes of all input channels of a weight below which larger kernels take 64 of them at once."""

SOME_BYTES = 1536
"""Bytes of all input channels of a weight up to which they take 48."""

LEAST_FILLED = 0.95
"""How much of the blocks must be channels for 1x1 kernels to take 48 at once."""


def weight_bytes(convolution: Convolution, execution: Execution) -> Column:
    """Bytes of the weight: input channels in whole blocks, in half precision output channels in pairs."""
    c = convolution
    inputs = padded_to(c.in_channels, _channels_at_once(c, execution))
    outputs = padded_to(c.out_channels, PAIR) if execution.is_half else c.out_channels
    size: Column = inputs * outputs * c.kernel_size**2 * execution.computed
    return size


def scratch_bytes(convolution: Convolution, execution: Execution) -> Column:
    """Bytes of the buffers of all threads, each buffer with a page to spare for its alignment.

    These are: the operands of the products; the output's gradient of an image inside a border of
    zeros; a mask of its parts that are copied already; where rows do not divide by the stride, rows
    of the result; in half precision, sums in single precision of one row.
    """
    c = convolution
    is_uneven = c.width % c.stride != 0
    buffers = [
        padded_to(padded_to(c.kernel_size**2 * OPERAND, PAGE), OPERAND),
        _bordered(c, execution, is_uneven),
        np.full_like(c.images, PAGE),
        np.where(is_uneven, _rows(c, execution), 0),
    ]
    if execution.is_half:
        buffers.append(_channels_at_once(c, execution) * c.out_width * SINGLE)
    return sum(
        (execution.threads * size + np.where(size > 0, PAGE, 0) for size in buffers),
        np.zeros_like(c.images),
    )


def _bordered(c: Convolution, execution: Execution, is_uneven: NDArray[np.bool_]) -> Column:
    """Bytes of one image of the output's gradient, with the border that the window reaches."""
    channels = c.out_channels
    if execution.is_half:
        channels = np.where(is_uneven, padded_to(channels, PAIR), channels)
    height = c.out_height + _border(c, c.height, c.out_height)
    width = c.out_width + _border(c, c.width, c.out_width)
    size: Column = padded_to(channels * height * width, PAGE) * execution.computed
    return size


def _border(c: Convolution, side: Column, out_side: Column) -> Column:
    """Pixels of the border along one side of the image, before and behind it."""
    before = c.kernel_size // 2
    behind = (out_side - 1) * c.stride + c.kernel_size - side - before
    reaches = (np.maximum(c.kernel_size - 1 - padding, 0) for padding in (before, behind))
    border: Column = sum((reach // c.stride for reach in reaches), np.zeros_like(side))
    return border


def _rows(c: Convolution, execution: Execution) -> Column:
    """Bytes of as many rows of the input's gradient as the stride, each padded to divide by it."""
    size: Column = padded_to(padded_to(c.width, c.stride) * c.stride * c.in_channels, PAGE)
    return size * execution.computed


def _channels_at_once(c: Convolution, execution: Execution) -> Column:
    """Input channels in a block of the weight: the most that oneDNN's rules of thumb admit.

    Of the blocks admitted it takes the one that it estimates to be quickest, which is nearly always
    the largest.
    """
    padded = padded_to(c.in_channels, VECTOR)
    all_bytes, square = padded * execution.computed, c.stride**2
    of_64 = np.where(c.is_pointwise, c.in_pixels >= LARGE_IMAGE * square, all_bytes < FEW_BYTES)
    of_48 = np.where(
        c.is_pointwise,
        c.in_channels >= LEAST_FILLED * padded_to(c.in_channels, 48),
        (padded % 48 == 0) & (all_bytes <= SOME_BYTES) & (c.out_pixels > LARGE_RESULT * square),
    )
    return np.select([of_64 & (padded % 64 == 0), of_48, padded == VECTOR], [64, 48, VECTOR], 32)
