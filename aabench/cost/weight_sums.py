"""Weight sums: the scratch in which oneDNN computes half-precision gradients of weights on the CPU.

The gradient is summed in single precision, from input and output gradient transposed so that pixels
come in pairs. Threads share images, groups of output channels and groups of input channels; those
that have different images sum and transpose on their own. oneDNN shares so that a thread reads and
writes least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aabench.cost.columns import Column
from aabench.cost.convolution import Convolution
from aabench.cost.execution import HALF, SINGLE
from aabench.cost.rounding import padded_to, parts_of

GROUP = 16
"""Channels in a group."""

PAIR = 2
"""Pixels that lie together once transposed."""

FULL_IMAGE_CHANNELS = 128
"""From so many input channels on, a thread takes whole images, and not only rows of one."""

LARGE_SIDE = 14
"""Sides of images above which 1x1 kernels transpose nothing beforehand."""

BARRIER = 8_388
"""Bytes of what threads that share the same images meet at, once for sums, once for images."""

MOST_PIXELS = 256
"""Pixels for each thread from which on threads share an image that is unfolded."""

POINTWISE_WEIGHT = 4
"""How much more than its images the sums of a 1x1 kernel count in what a thread moves."""

OUTPUT_GROUPS_AT_ONCE = 16
"""Groups of output channels that 1x1 kernels transpose together, at least, if there are so many."""

INPUT_GROUPS_AT_ONCE = 5
"""Groups of input channels, likewise."""


def spatial_sums(convolution: Convolution, inputs: Column, outputs: Column, threads: int) -> Column:
    """Bytes for kernels larger than 1x1, or strided.

    Args:
        convolution: its sizes.
        inputs: its input channels as padded.
        outputs: its output channels as padded.
        threads: that share the work.

    """
    work = _Work.of(convolution, inputs, outputs)
    sharing = work.image_parts(threads, work.spatial_factors())
    source = np.where(inputs < GROUP, 0, inputs * convolution.height * work.source_width)
    result = outputs * convolution.out_height * work.result_width
    barriers = BARRIER * np.where(sharing < threads, 2, 1)
    own: Column = work.weights * SINGLE + (source + result) * HALF
    return np.asarray(sharing * own + barriers)


def pointwise_sums(
    convolution: Convolution, inputs: Column, outputs: Column, threads: int
) -> Column:
    """Bytes for 1x1 kernels, where each thread transposes what it reads; see ``spatial_sums``."""
    c = convolution
    work = _Work.of(c, inputs, outputs)
    factors = (1, 1, POINTWISE_WEIGHT * np.maximum(outputs // inputs, 1))
    plain = replace(
        work,
        units=c.images * c.out_pixels,
        source=c.images * inputs * c.out_pixels,
        result=c.images * outputs * c.out_pixels,
    )
    sharing = plain.image_parts(threads, factors)
    at_once = GROUP * _smallest_divisor(work.output_groups, OUTPUT_GROUPS_AT_ONCE)
    at_once = at_once + input_channels_at_once(inputs)
    transposed = threads * at_once * HALF * padded_to(c.out_pixels, PAIR)
    is_large = (c.out_height > LARGE_SIDE) & (c.out_width > LARGE_SIDE)
    barriers = np.where(sharing > 1, BARRIER, 0)
    return sharing * work.weights * SINGLE + np.where(is_large, 0, transposed) + barriers


def unfolded_sums(convolution: Convolution, threads: int) -> Column:
    """Bytes for few input channels and output channels not in whole groups.

    Then the input is unfolded into columns, and the product is that of two matrices; threads have
    images of their own where these are small.
    """
    c = convolution
    columns = c.in_channels * c.kernel_size**2 * c.out_pixels * HALF
    own_images = (c.out_pixels < threads * MOST_PIXELS) & (c.images > 1)
    parts = np.where(own_images, threads, 1)
    total: Column = parts * columns + (2 * parts + 2) * c.weights * SINGLE
    return total


def input_channels_at_once(inputs: Column) -> Column:
    """Input channels, of so many padded ones, that a thread of a 1x1 kernel prepares together."""
    return GROUP * _smallest_divisor(parts_of(inputs, GROUP), INPUT_GROUPS_AT_ONCE)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What threads share, in elements.

    Attributes:
        convolution: its sizes.
        weights: of the padded weight.
        source_width: width of a row of the transposed input, padded.
        result_width: width of a row of the transposed output gradient.
        input_groups: groups of input channels.
        output_groups: groups of output channels.
        units: what threads that share images share: images, or rows of them.
        source: the transposed input batch, as far as it is read.
        result: the transposed output gradient of the batch.

    """

    convolution: Convolution
    weights: Column
    source_width: Column
    result_width: Column
    input_groups: Column
    output_groups: Column
    units: Column
    source: Column
    result: Column

    @classmethod
    def of(cls, convolution: Convolution, inputs: Column, outputs: Column) -> _Work:
        """The work of the gradient of a weight with these padded channels."""
        c = convolution
        padding = c.kernel_size // 2
        right = (c.out_width - 1) * c.stride + c.kernel_size - c.width - padding
        margin = padded_to(np.maximum(padding, np.maximum(right, 0) + 1), PAIR)
        source_width = padded_to(c.out_width + margin, PAIR) * c.stride
        result_width = padded_to(c.out_width, PAIR)
        whole_images = (inputs >= FULL_IMAGE_CHANNELS) & (c.kernel_size > 1) & (c.stride == 1)
        return cls(
            convolution=c,
            weights=inputs * outputs * c.kernel_size**2,
            source_width=source_width,
            result_width=result_width,
            input_groups=parts_of(inputs, GROUP),
            output_groups=parts_of(outputs, GROUP),
            units=np.where(whole_images, c.images, c.images * c.out_height),
            source=c.images * inputs * c.height * source_width,
            result=c.images * outputs * c.out_height * result_width,
        )

    def spatial_factors(self) -> tuple[Column, Column, Column]:
        """How much input, output and weight count in what a thread moves, larger kernels."""
        moved = (self.source + self.result) * HALF / (2.0 * self.weights * SINGLE)
        of_source = np.maximum(self.input_groups / self.output_groups, 1)
        of_source = of_source * np.where(moved < 1, 4, 1) / self.convolution.stride**2
        of_result = np.maximum(self.output_groups / self.input_groups, 1)
        return of_source, of_result, np.maximum(moved, 1)

    def image_parts(self, threads: int, factors: tuple[Any, Any, Any]) -> Column:
        """Into how many parts the images are shared where a thread moves least; later ties win."""
        best = np.full(self.weights.shape, np.inf)
        chosen = np.ones_like(self.weights)
        for image_parts in _powers_of_two(threads):
            for output_parts in _powers_of_two(threads // image_parts):
                parts = (image_parts, output_parts, threads // image_parts // output_parts)
                moved = self._moved(parts, factors)
                better = (moved <= best) & (image_parts <= self.units)
                better &= output_parts <= self.output_groups
                best = np.where(better, moved, best)
                chosen = np.where(better, image_parts, chosen)
        return chosen

    def _moved(self, parts: tuple[int, int, int], factors: tuple[Any, Any, Any]) -> Column:
        """What one thread moves when images, output and input channels are shared in such parts."""
        image_parts, output_parts, input_parts = parts
        of_source, of_result, of_weight = factors
        images = parts_of(self.units, image_parts) / self.units
        of_inputs = parts_of(self.input_groups, input_parts) / self.input_groups
        of_outputs = parts_of(self.output_groups, output_parts) / self.output_groups
        moved: Column = (
            of_source * images * of_inputs * self.source
            + of_result * images * of_outputs * self.result
            + of_weight * of_inputs * of_outputs * self.weights
        )
        return moved


def _smallest_divisor(numbers: Column, least: int) -> Column:
    """Of each number, the smallest divisor from ``least`` on; the number itself if it is less."""
    whole = numbers.astype(np.int64)
    most = int(whole.max(initial=1))
    divisors = np.arange(most + 1)
    for divisor in range(most // 2, least - 1, -1):
        divisors[divisor::divisor] = divisor
    return divisors[whole]


def _powers_of_two(most: int) -> list[int]:
    return [1 << exponent for exponent in range(most.bit_length())]
