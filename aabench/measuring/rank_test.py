"""The Mann–Whitney test: whether one set of samples tends to lie above another, by ranks alone.

It asks nothing of the samples' distribution, which for latencies is skewed and has more than one peak.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EXACT_UP_TO = 50
"""Samples on both sides together up to which p is counted out; the counts stay below 2^53."""


def rank_test(a: Floats, b: Floats) -> float:
    """The two-sided p-value of two sets of samples being drawn from one distribution.

    Mann and Whitney (1947), with mean ranks for ties. Up to ``EXACT_UP_TO`` samples the value is
    exact, given the ties: the share of all ways to pick ``len(a)`` of the pooled samples whose rank
    sum lies at least as far from its mean. Beyond, the normal approximation with the variance
    corrected for ties and with continuity correction (Lehmann, Nonparametrics, section 1.4).

    Args:
        a: samples of one side, in any order; at least one, all finite.
        b: samples of the other side.

    Returns:
        A probability; 1 where all samples are equal.
    """
    doubled, ties = _doubled_ranks(np.concatenate((a, b)))
    excess = abs(_excess(int(doubled[: len(a)].sum()), len(a), len(b)))
    if len(doubled) <= EXACT_UP_TO:
        return _exact(doubled, len(a), excess)
    return _approximate(len(a), len(b), ties, excess)


def _doubled_ranks(samples: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Twice the mean rank of each sample, a whole number; and how many samples share each value."""
    _, places, ties = np.unique(samples, return_inverse=True, return_counts=True)
    last = np.cumsum(ties)
    return (2 * last - ties + 1)[places], ties


def _excess(doubled_sum: int, n: int, m: int) -> int:
    """Twice the distance of a rank sum from its mean n (n + m + 1) / 2."""
    return doubled_sum - n * (n + m + 1)


def _exact(doubled: npt.NDArray[np.int64], n: int, excess: int) -> float:
    """The share of choices of n ranks whose sum lies at least ``excess`` / 2 from the mean.

    ``ways[k, s]`` counts the choices of k ranks among those seen so far whose doubled sum is s.
    """
    highest = int(np.sort(doubled)[-n:].sum())
    ways = np.zeros((n + 1, highest + 1))
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : highest + 1 - rank]
    sums = np.arange(highest + 1) - n * (len(doubled) + 1)
    return float(ways[n, np.abs(sums) >= excess].sum() / math.comb(len(doubled), n))


def _approximate(n: int, m: int, ties: npt.NDArray[np.int64], excess: int) -> float:
    total = n + m
    tied = float((ties.astype(np.float64) ** 3 - ties).sum()) / (total * (total - 1))
    variance = n * m / 12 * (total + 1 - tied)
    if variance <= 0:
        return 1.0
    z = max(0.0, excess / 2 - 0.5) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))
