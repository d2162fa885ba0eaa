"""The single-precision weight sums: the scratch in which oneDNN adds up gradients of weights on the CPU.

Threads share images, groups of output channels and groups of input channels. One of those that
have different images sums where the gradient goes, the others in scratch memory of the same size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import Column
from aabench.cost.convolution import Convolution
from aabench.cost.execution import SINGLE
from aabench.cost.rounding import parts_of

GROUP = 16
"""Channels in a group."""

FEWEST_ROWS = 9
"""Rows of an output image that a thread takes at least; only where there are more is it shared."""

WEIGHT_COST = 8
"""How much more than input and output the weight counts in what a thread moves..."""

POINTWISE_WEIGHT_COST = 12
"""...and in 1x1 kernels."""

TOLERANCE = 1.1
"""How much more a thread may move if it computes less."""

BARRIER = 8_320
"""Bytes of what threads meet at that share the same images."""

Parts = tuple[int, int, int]
"""Into how many parts images, output channels and input channels are shared."""


def spatial_sums(convolution: Convolution, inputs: Column, outputs: Column, threads: int) -> Column:
    """Bytes for kernels larger than 1x1, or whose stride leaves pixels over.

    Args:
        convolution: its sizes.
        inputs: its input channels as padded.
        outputs: its output channels as padded.
        threads: that share the work.

    """
    c = convolution
    by_rows = c.out_height > FEWEST_ROWS
    work = _Work(
        in_units=c.images * np.where(by_rows, c.height, 1),
        out_units=c.images * np.where(by_rows, c.out_height, 1),
        most_parts=c.images * np.where(by_rows, c.out_height // FEWEST_ROWS, 1),
        source=inputs * c.width * np.where(by_rows, 1, c.height) / c.stride**2,
        result=outputs * c.out_width * np.where(by_rows, 1, c.out_height),
        weights=WEIGHT_COST * inputs * outputs * c.kernel_size**2,
        input_groups=parts_of(inputs, GROUP),
        output_groups=parts_of(outputs, GROUP),
    )
    shares = list(work.shares(threads))
    # Beside each sum there is room for that of a bias.
    size = inputs * outputs * c.kernel_size**2 + outputs
    return _size(_least_computed(shares, _least_moved(shares)).image_parts, size)


def pointwise_sums(
    convolution: Convolution, inputs: Column, outputs: Column, threads: int
) -> Column:
    """Bytes for 1x1 kernels; see ``spatial_sums``."""
    c = convolution
    pixels = c.images * c.out_pixels
    work = _Work(
        in_units=pixels,
        out_units=pixels,
        most_parts=pixels,
        source=inputs,
        result=outputs,
        weights=POINTWISE_WEIGHT_COST * inputs * outputs,
        input_groups=parts_of(inputs, GROUP),
        output_groups=parts_of(outputs, GROUP),
    )
    return _size(_least_moved(list(work.shares(threads))).image_parts, inputs * outputs)


def _size(image_parts: Column, sums: Column) -> Column:
    """Bytes of all sums but one, and of the barrier."""
    size: Column = (image_parts - 1) * sums * SINGLE + np.where(image_parts > 1, BARRIER, 0)
    return size


@dataclass(frozen=True, slots=True, eq=False)
class _Share:
    """How threads share the work.

    Attributes:
        is_possible: where they can.
        image_parts: into how many parts the images.
        moved: numbers that one thread moves, counted with what they cost.
        computed: products of groups that it computes.

    """

    is_possible: NDArray[np.bool_]
    image_parts: Column
    moved: Column
    computed: Column


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What threads share.

    Attributes:
        in_units: images of the input, rows or pixels of them, of which a thread takes whole ones.
        out_units: the same of the output.
        most_parts: into which the images may be shared.
        source: elements of one unit of the input, as far as they are read.
        result: elements of one unit of the output.
        weights: elements of the weight, times what they cost.
        input_groups: groups of input channels.
        output_groups: groups of output channels.

    """

    in_units: Column
    out_units: Column
    most_parts: Column
    source: Column
    result: Column
    weights: Column
    input_groups: Column
    output_groups: Column

    def shares(self, threads: int) -> Iterator[_Share]:
        """The shares to compare, by powers of two; the first, of one image, is always possible."""
        powers = [1 << exponent for exponent in range(threads.bit_length())]
        for images in powers:
            for outputs in powers:
                if inputs := threads // images // outputs:
                    yield self._share((images, outputs, inputs))

    def _share(self, parts: Parts) -> _Share:
        images, outputs, inputs = parts
        in_groups, out_groups = self.input_groups, self.output_groups
        of_inputs: Column | float = 1.0
        of_outputs: Column | float = 1.0
        in_units, out_units = self.in_units, self.out_units
        if inputs > 1:
            in_groups = parts_of(in_groups, inputs)
            of_inputs = in_groups / self.input_groups
        if outputs > 1:
            out_groups = parts_of(out_groups, outputs)
            of_outputs = out_groups / self.output_groups
        if images > 1:
            in_units, out_units = parts_of(in_units, images), parts_of(out_units, images)
        return _Share(
            is_possible=(images <= self.most_parts) & (outputs <= self.output_groups),
            image_parts=np.full_like(self.in_units, images),
            moved=of_inputs * in_units * self.source
            + of_outputs * out_units * self.result
            + of_inputs * of_outputs * self.weights,
            computed=out_units * in_groups * out_groups,
        )


def _least_moved(shares: Sequence[_Share]) -> _Share:
    """The share in which a thread moves least; of equals the last."""
    best = shares[0]
    for share in shares[1:]:
        best = _either(share.is_possible & (share.moved <= best.moved), share, best)
    return best


def _least_computed(shares: Sequence[_Share], least: _Share) -> _Share:
    """The share that computes least without moving much more than the least.

    One that computes a quarter less is taken whatever it moves.
    """
    best, most_moved = least, TOLERANCE * least.moved
    for share in shares:
        is_better = (share.computed <= best.computed) & (share.moved < most_moved)
        is_better |= 4 * share.computed <= 3 * best.computed
        best = _either(share.is_possible & is_better, share, best)
    return best


def _either(where: NDArray[np.bool_], one: _Share, other: _Share) -> _Share:
    return _Share(
        where | other.is_possible,
        np.where(where, one.image_parts, other.image_parts),
        np.where(where, one.moved, other.moved),
        np.where(where, one.computed, other.computed),
    )
