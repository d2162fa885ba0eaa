"""The pixel sums: the scratch in which oneDNN's half-precision 1x1 kernels sum up their result on the CPU.

Each thread sums in single precision, over all pixels of an image, the channels of the result that
are its own. Where there are fewer images than threads these share an image by pixels or by
channels, whichever oneDNN estimates to cost less, and only the latter leaves each with less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import Column
from aabench.cost.execution import SINGLE
from aabench.cost.rounding import padded_to, parts_of

GROUP = 16
"""Channels in a group."""

ALIGNMENT = 128
"""Bytes added so that the sums can begin where a cache line does."""

LARGE_SIDE = 14
"""Height from which on rows, and not all pixels, should divide by the pixels taken at once."""

MIDDLE_SIDES = (10, 28)
"""Heights between which fewer pixels are taken at once..."""

MIDDLE_CHANNELS = (128, 256)
"""...where the channels of the result are between these."""

TASKS_A_THREAD = 8
"""An image counts as so many tasks; with at least one for each thread, few pixels are taken at once."""

FEW_PIXELS = range(9, 5, -1)
"""Pixels that may be taken at once then, the preferred ones first."""

FEWER_PIXELS = range(6, 4, -1)
"""Likewise for heights and channels between those above."""

MANY_PIXELS = range(30, 8, -1)
"""Likewise where there are fewer tasks."""

MOST_THREADS = 28
"""Up to so many threads oneDNN estimates what sharing an image costs."""

PRODUCT_COST = 0.01
"""What one multiplication costs in that estimate; reading a number costs 1..."""

SHARED_READ_COST = 1.3
"""...or this where threads read the same channels."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelSums:
    """A 1x1 convolution as its kernel sees it: forward, or backward to the input.

    Attributes:
        images: B.
        channels: of the result, padded to whole groups.
        summands: channels that are summed over.
        height: of the result.
        pixels: of one image of the result.
        threads: that share the work.

    """

    images: Column
    channels: Column
    summands: Column
    height: Column
    pixels: Column
    threads: int

    def size(self) -> Column:
        """Bytes of the sums of all threads."""
        at_once = self._pixels_at_once()
        own = padded_to(parts_of(self.channels, self._channel_parts(at_once)), GROUP)
        size: Column = self.threads * own * padded_to(self.pixels, at_once) * SINGLE + ALIGNMENT
        return size

    def _pixels_at_once(self) -> Column:
        """Pixels that the kernel keeps in registers: as many as divide the image, or nearly so."""
        low, high = MIDDLE_SIDES
        is_middle = (self.height > low) & (self.height < high)
        low, high = MIDDLE_CHANNELS
        is_middle &= (self.channels > low) & (self.channels < high)
        has_tasks = TASKS_A_THREAD * self.images >= self.threads
        at_once = self._divisor(FEW_PIXELS)
        if is_middle.any():
            at_once = np.where(is_middle, self._divisor(FEWER_PIXELS), at_once)
        if not has_tasks.all():
            at_once = np.where(has_tasks, at_once, self._divisor(MANY_PIXELS))
        return at_once

    def _divisor(self, candidates: range) -> Column:
        """The first candidate that leaves no pixel over; else one that leaves the most."""
        length = np.where(self.height >= LARGE_SIDE, self.height, self.pixels)
        chosen, left = np.minimum(candidates[0], self.pixels), self.pixels % candidates[0]
        for candidate in candidates:
            rest = self.pixels % candidate
            better = (left > 0) & ((rest > left) | (rest == 0))
            chosen, left = np.where(better, candidate, chosen), np.where(better, rest, left)
        return _first_divisor(length, candidates, chosen)

    def _channel_parts(self, at_once: Column) -> Column:
        """Into how many parts threads share the channels of an image."""
        ones = np.ones_like(self.images)
        if (self.images >= self.threads).all():
            return ones
        groups, blocks = self.channels // GROUP, parts_of(self.pixels, at_once)
        estimated = (self.images < self.threads) & (groups * blocks > self.threads)
        estimated &= self.threads <= MOST_THREADS
        parts = parts_of(self.threads * ones, self.images * blocks)
        parts = np.where(estimated, self._cheapest_parts(at_once, groups, blocks), parts)
        # Threads that share a part of the pixels are a whole number.
        return parts_of(self.threads * ones, parts_of(self.threads * ones, parts))

    def _cheapest_parts(self, at_once: Column, groups: Column, blocks: Column) -> Column:
        """The parts in which the busiest thread costs least.

        Of equals more parts win where the weight is larger than the input.
        """
        best, chosen = np.full(groups.shape, np.inf), np.ones_like(groups)
        prefers_more = self.channels > self.images * self.pixels
        for parts in range(1, self.threads + 1):
            fewest, most = self.threads // parts, -(-self.threads // parts)
            read_cost = 1.0 if most == 1 else SHARED_READ_COST

            def cost(groups: Column, sharing: int, read_cost: float = read_cost) -> Column:
                pixels = self.images * parts_of(blocks, sharing) * at_once
                channels = groups * GROUP
                products = PRODUCT_COST * pixels * channels
                total: Column = (products + read_cost * (pixels + channels)) * self.summands
                return total

            larger = parts_of(groups, parts)
            either = np.maximum(cost(larger, most), cost(groups // parts, fewest))
            costs = np.where(self.threads % parts < groups % parts, cost(larger, fewest), either)
            better = (costs < best) | (prefers_more & (costs == best))
            best, chosen = np.where(better, costs, best), np.where(better, parts, chosen)
        return chosen


def _first_divisor(length: Column, candidates: Iterable[int], otherwise: Column) -> Column:
    """Of each length, the first candidate that divides it; without one, something else."""
    chosen, is_open = otherwise, np.ones(length.shape, np.bool_)
    for candidate in candidates:
        divides: NDArray[np.bool_] = is_open & (length % candidate == 0)
        chosen, is_open = np.where(divides, candidate, chosen), is_open & ~divides
    return chosen
