"""Statistics of latency samples: the summary, the drift between rounds, and which digits count.

Knows numpy only. No sample is ever removed: outliers are counted, and whoever reads the summary
decides what to make of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from aabench.errors import UsageError

CONFIDENCE = 0.95
"""Confidence of the median's interval."""

OUTLIER_Z = 14.8
"""Modified z-score, |sample - median| / MAD, above which a sample is an outlier.

A normal distribution's standard deviation is 1.4826 MAD, so this is ten standard deviations, the
bound that hyperfine uses.
"""

SIGMA_PER_MAD = 1.4826
SIGMA_PER_MEAN_DEVIATION = 1.2533

MOST_DIGITS = 6
"""Digits granted when the half-width is zero: clocks and rounding do not support more."""

DIGITS_WITHOUT_SPREAD = 2
"""Digits granted when nothing is known of the spread."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a set of samples says, in the unit of the samples.

    Attributes:
        n: number of samples.
        median: middle value, the headline.
        iqr: interquartile range, p75 - p25.
        p5: 5th percentile (linear interpolation, as all percentiles here).
        p95: 95th percentile.
        minimum: smallest sample.
        ci_low: lower end of the median's 95 % confidence interval; None below 6 samples.
        ci_high: upper end of it; None below 6 samples.
        outliers: samples whose modified z-score exceeds ``OUTLIER_Z``; all figures
            include them.

    """

    n: int
    median: float
    iqr: float
    p5: float
    p95: float
    minimum: float
    ci_low: float | None
    ci_high: float | None
    outliers: int

    @property
    def relative_iqr(self) -> float:
        """Interquartile range over median."""
        return self.iqr / self.median

    @property
    def half_width(self) -> float | None:
        """Half the width of the median's confidence interval; None below 6 samples."""
        if self.ci_low is None or self.ci_high is None:
            return None
        return (self.ci_high - self.ci_low) / 2

    @property
    def relative_half_width(self) -> float | None:
        """Half-width over median; None below 6 samples."""
        return None if self.half_width is None else self.half_width / self.median


def summarize(samples_s: Sequence[float]) -> Summary:
    """Summarise samples, all of them.

    Args:
        samples_s: positive, finite seconds, in any order; at least one.

    Raises:
        UsageError: there are no samples, or one is NaN, infinite, negative or zero.

    """
    ordered = np.sort(_checked(samples_s))
    p5, p25, median, p75, p95 = (float(p) for p in np.percentile(ordered, (5, 25, 50, 75, 95)))
    rank = median_interval_rank(len(ordered))
    return Summary(
        n=len(ordered),
        median=median,
        iqr=p75 - p25,
        p5=p5,
        p95=p95,
        minimum=float(ordered[0]),
        ci_low=None if rank is None else float(ordered[rank - 1]),
        ci_high=None if rank is None else float(ordered[-rank]),
        outliers=_count_outliers(ordered, median),
    )


@lru_cache(maxsize=4096)
def median_interval_rank(n: int, confidence: float = CONFIDENCE) -> int | None:
    """The rank j for which the j-th smallest and j-th largest of n samples enclose the median.

    Whatever the distribution, the number X of samples below the true median is binomial with
    p = 1/2, so the interval from x_(j) to x_(n+1-j) misses it with probability 2 P(X < j). The
    largest j that keeps this within 1 - confidence is taken (David and Nagaraja, Order Statistics,
    section 7.1). Below 6 samples even the extremes do not reach 95 %: then the answer is None.
    """
    below = np.arange(1, n // 2 + 1)
    log_probability = np.concatenate(([0.0], np.cumsum(np.log((n - below + 1) / below))))
    cumulative = np.cumsum(np.exp(log_probability - n * math.log(2)))
    rank = int(np.count_nonzero(cumulative <= (1 - confidence) / 2))
    return rank or None


def drift_between(rounds: Sequence[Sequence[float]]) -> float | None:
    """The largest relative difference between two rounds' medians, (slowest - fastest) / fastest.

    Args:
        rounds: the samples of each round; rounds without samples are passed over.

    Returns:
        A fraction, 0.05 for five per cent; None if fewer than two rounds have samples.

    Raises:
        UsageError: a sample is NaN, infinite, negative or zero.

    """
    medians = [float(np.median(_checked(samples))) for samples in rounds if len(samples) > 0]
    if len(medians) < 2:
        return None
    return (max(medians) - min(medians)) / min(medians)


def significant_digits(value: float, half_width: float | None) -> int:
    """How many significant digits of a value its half-width supports, at least 1.

    The last digit kept is the one that the half-width's first significant digit stands at, or the
    next one if that digit is a 1, as physicists write uncertainties: 1.2371 with half-width 0.0312
    has three digits (1.24), with 0.0131 four (1.237).

    Args:
        value: a finite number.
        half_width: half the width of its confidence interval; None when it is not known.

    Raises:
        UsageError: the value is not finite, or the half-width is negative or not finite.

    """
    if not math.isfinite(value):
        raise UsageError("only a finite value has significant digits", got=value)
    if half_width is None:
        return DIGITS_WITHOUT_SPREAD
    if not (math.isfinite(half_width) and half_width >= 0):
        raise UsageError("a half-width must be finite and not negative", got=half_width)
    if value == 0:
        return 1
    if half_width == 0:
        return MOST_DIGITS
    mantissa, exponent = f"{half_width:.1e}".split("e")
    last_place = int(exponent) - (1 if mantissa.startswith("1") else 0)
    first_place = int(f"{abs(value):.{MOST_DIGITS - 1}e}".split("e")[1])
    return min(MOST_DIGITS, max(1, first_place - last_place + 1))


def rounded(value: float, half_width: float | None) -> float:
    """A value rounded to the digits that its half-width supports; see ``significant_digits``."""
    digits = significant_digits(value, half_width)
    return float(f"{value:.{digits - 1}e}")


def _checked(samples_s: Sequence[float]) -> npt.NDArray[np.float64]:
    """The samples as an array, none of them impossible."""
    samples = np.asarray(samples_s, dtype=np.float64)
    if samples.ndim != 1 or samples.size == 0:
        raise UsageError("a summary needs a list of at least one sample", got=samples_s)
    impossible = ~(np.isfinite(samples) & (samples > 0))
    if impossible.any():
        where = int(np.argmax(impossible))
        raise UsageError(
            f"sample {where} of {samples.size} is no duration",
            got=float(samples[where]),
            allowed="positive, finite seconds",
        )
    return samples


def _count_outliers(samples: npt.NDArray[np.float64], median: float) -> int:
    """Samples further from the median than ``OUTLIER_Z`` median absolute deviations.

    Where more than half of the samples are equal, as with a coarse clock, the MAD is zero; the mean
    deviation then stands in for it (Iglewicz and Hoaglin 1993), scaled to the same number of
    standard deviations.
    """
    deviations = np.abs(samples - median)
    sigma = SIGMA_PER_MAD * float(np.median(deviations))
    if sigma == 0:
        sigma = SIGMA_PER_MEAN_DEVIATION * float(np.mean(deviations))
    bound = OUTLIER_Z / SIGMA_PER_MAD * sigma
    return int(np.count_nonzero(deviations > bound))
