"""The comparison of two sets of latency samples: their ratio, its interval, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from aabench.measuring.rank_test import Floats, rank_test
from aabench.measuring.statistics import CONFIDENCE, Summary, median_interval_rank, summarize

SIGNIFICANCE = 0.002
"""A difference counts only with a smaller p than this."""

FEWEST_SAMPLES = 7
"""On each side: with 6 and 6 the rank test cannot reach ``SIGNIFICANCE``, whatever the samples."""

CONFIDENCE_OF_EACH = math.sqrt(CONFIDENCE)
"""Of the two medians' intervals that the ratio's is made of: both hold at once in 95 % of cases."""


class Verdict(StrEnum):
    """What may be said of the second side's latency beside the first one's."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class LatencyComparison:
    """One case measured twice.

    Attributes:
        verdict: on the second side.
        reason: what keeps it from being told; empty with the other verdicts.
        ratio: median of the second side over that of the first.
        low: lower end of the ratio's 95 % confidence interval; None below 7 samples a side.
        high: upper end of it.
        p_value: of the rank test, two-sided.
    """

    verdict: Verdict
    reason: str
    ratio: float
    low: float | None
    high: float | None
    p_value: float


def compare_latencies(
    first: Sequence[float], second: Sequence[float], threshold: float
) -> LatencyComparison:
    """Compare the samples of two sides.

    Faster or slower is said where all of these hold: the medians differ by more than the threshold,
    the rank test gives p < 0.002, and the medians' 95 % confidence intervals are apart. Same is
    said where the ratio's whole interval lies within the threshold. All else cannot be told.

    The ratio's interval goes from the second median's lowest over the first one's highest to the
    opposite. The medians' intervals are those of order statistics at the level sqrt(0.95), so the
    ratio's holds in at least 95 % of cases, whatever the distributions.

    Args:
        first: seconds per step, in any order; at least one sample.
        second: the same of the other side.
        threshold: the relative difference that matters, 0.05 for 5 %: ratios from 1 / 1.05 to 1.05
            are within it, so that swapping the sides mirrors the verdict.

    Raises:
        UsageError: a side has no samples, or one that is no duration.
    """
    a, b = summarize(first), summarize(second)
    sides = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    p_value = rank_test(*sides)
    low, high = _ratio_interval(*sides)
    ratio = b.median / a.median
    within = 1 / (1 + threshold) <= ratio <= 1 + threshold
    if within:
        reason = _doubt_of_sameness(a, b, low, high, threshold)
        verdict = Verdict.SAME
    else:
        reason = _doubt_of_difference(a, b, p_value)
        verdict = Verdict.SLOWER if ratio > 1 else Verdict.FASTER
    if reason:
        verdict = Verdict.CANNOT_TELL
    return LatencyComparison(verdict, reason, ratio, low, high, p_value)


def _ratio_interval(first: Floats, second: Floats) -> tuple[float | None, float | None]:
    a, b = _median_interval(first), _median_interval(second)
    if a is None or b is None:
        return None, None
    return b[0] / a[1], b[1] / a[0]


def _median_interval(samples: Floats) -> tuple[float, float] | None:
    rank = median_interval_rank(len(samples), CONFIDENCE_OF_EACH)
    if rank is None:
        return None
    ordered = np.sort(samples)
    return float(ordered[rank - 1]), float(ordered[-rank])


def _doubt_of_sameness(
    a: Summary, b: Summary, low: float | None, high: float | None, threshold: float
) -> str:
    """Why two medians that differ by less than the threshold may not be called the same."""
    if low is None or high is None:
        return _too_few(a, b)
    if low < 1 / (1 + threshold) or high > 1 + threshold:
        return f"the ratio's interval, {low:.3f} to {high:.3f}, reaches past the threshold"
    return ""


def _doubt_of_difference(a: Summary, b: Summary, p_value: float) -> str:
    """Why two medians that differ by more than the threshold may not be called different."""
    if min(a.n, b.n) < FEWEST_SAMPLES:
        return _too_few(a, b)
    if p_value >= SIGNIFICANCE:
        return f"the samples overlap: p = {p_value:.2g}, not below {SIGNIFICANCE}"
    if not _are_apart(a, b):
        return "the medians' 95 % confidence intervals overlap"
    return ""


def _are_apart(a: Summary, b: Summary) -> bool:
    if a.ci_low is None or a.ci_high is None or b.ci_low is None or b.ci_high is None:
        return False
    return a.ci_high < b.ci_low or b.ci_high < a.ci_low


def _too_few(a: Summary, b: Summary) -> str:
    return f"{a.n} and {b.n} samples, and each side needs {FEWEST_SAMPLES}"
