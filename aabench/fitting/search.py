"""Bisection: the largest whole number that still passes a test, found with few tests."""

from __future__ import annotations

from collections.abc import Callable


def largest_that(passes: Callable[[int], bool], least: int, most: int) -> int:
    """The largest number from ``least`` to ``most`` that passes; 0 if not even ``least`` does.

    Doubles from the least until one fails, then halves the gap: about 2 log2 of the answer tests. What
    passes must be what lies below some bound.
    """
    if most < least or not passes(least):
        return 0
    low, high = least, 2 * least
    while high <= most and passes(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low
