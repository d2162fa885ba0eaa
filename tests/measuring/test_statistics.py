"""Statistics on samples that are checked in with values computed by other code."""

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.errors import UsageError
from aabench.measuring.statistics import (
    drift_between,
    median_interval_rank,
    rounded,
    significant_digits,
    summarize,
)

STORED = json.loads((Path(__file__).parent / "latency_samples.json").read_text())["sets"]


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored["name"])
def test_summary_agrees_with_independent_values(stored):
    summary = summarize(stored["samples_s"])
    for name, expected in stored["expected"].items():
        got = getattr(summary, name)
        assert got == (None if expected is None else pytest.approx(expected, rel=1e-12)), name


def test_the_order_of_samples_does_not_matter():
    samples = STORED[0]["samples_s"]
    assert summarize(samples) == summarize(sorted(samples, reverse=True))


def exact_rank(n):
    """The largest j with 2 P(X < j) <= 1/20 for X binomial(n, 1/2), in whole numbers."""
    rank, ways, below = 0, 1, 0
    while 40 * (below := below + ways) <= 2**n:
        ways = ways * (n - rank) // (rank + 1)
        rank += 1
    return rank or None


@pytest.mark.parametrize("n", [*range(1, 200), 1000, 9999, 10_000])
def test_interval_rank_equals_exact_arithmetic(n):
    assert median_interval_rank(n) == exact_rank(n)


@pytest.mark.parametrize(("n", "least"), [(6, 0.95), (15, 0.95), (40, 0.95)])
def test_interval_covers_the_median_at_least_as_often_as_it_says(n, least):
    source = random.Random(7)
    hits = 0
    for _ in range(2000):
        summary = summarize([source.expovariate(1.0) + 1e-9 for _ in range(n)])
        hits += summary.ci_low <= math.log(2) <= summary.ci_high
    assert hits / 2000 > least - 0.012  # 2.5 standard errors


def test_half_width_is_that_of_the_interval():
    summary = summarize([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert summary.half_width == 2.5
    assert summary.relative_half_width == pytest.approx(2.5 / 3.5)
    assert summary.relative_iqr == pytest.approx(2.5 / 3.5)
    assert summarize([1.0, 2.0]).half_width is None


@given(st.lists(st.floats(1e-7, 1e4), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_summary_is_ordered_and_scales_with_the_unit(samples):
    summary = summarize(samples)
    assert summary.minimum <= summary.p5 <= summary.median <= summary.p95 <= max(samples)
    if summary.ci_low is not None:
        assert summary.minimum <= summary.ci_low <= summary.median <= summary.ci_high
    doubled = summarize([2 * sample for sample in samples])
    assert doubled.median == 2 * summary.median
    assert doubled.outliers == summary.outliers


def test_outliers_are_counted_and_never_removed():
    steady = [1.0 + i / 1000 for i in range(20)]
    hit = summarize([*steady, 50.0])
    assert (hit.n, hit.outliers) == (21, 1)
    assert hit.p95 <= 50.0 and hit.median > summarize(steady).median


def test_outlier_bound_is_14_8_deviations():
    # median 0, MAD 1 around 100: 114.8 is on the bound, anything above it is out
    ring = [99.0, 101.0, 99.0, 101.0, 100.0, 99.0, 101.0]
    assert summarize([*ring, 100.0, 114.7]).outliers == 0
    assert summarize([*ring, 100.0, 114.9]).outliers == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-9, 0.0])
def test_impossible_samples_are_named(bad):
    with pytest.raises(UsageError, match=r"sample 2 of 3 .*positive, finite seconds"):
        summarize([1.0, 2.0, bad])


def test_no_samples_is_an_error():
    with pytest.raises(UsageError, match="at least one sample"):
        summarize([])


def test_drift_is_the_largest_difference_of_medians():
    assert drift_between([[1.0, 1.0, 9.0], [1.1, 1.1], [1.05]]) == pytest.approx(0.1)
    assert drift_between([[2.0, 2.0], [2.0]]) == 0
    assert drift_between([[1.0], []]) is None
    assert drift_between([]) is None
    with pytest.raises(UsageError):
        drift_between([[1.0], [math.nan]])


@pytest.mark.parametrize(
    ("value", "half_width", "digits", "shown"),
    [
        (1.2371, 0.0312, 3, 1.24),
        (1.2371, 0.0131, 4, 1.237),
        (123.71, 31.2, 2, 120),
        (123.71, 13.1, 3, 124),
        (1.2371, 0.0996, 3, 1.24),  # 0.0996 is 0.10 to two digits: the 1 leads
        (0.0012371, 0.0000042, 4, 0.001237),
        (9.996, 0.03, 3, 10.0),
        (1.0, 50.0, 1, 1.0),
        (-1.2371, 0.0312, 3, -1.24),
        (1.23456789, 0.0, 6, 1.23457),
        (1.23456789, 1e-12, 6, 1.23457),
        (1.2371, None, 2, 1.2),
        (0.0, 0.1, 1, 0.0),
    ],
)
def test_digits_follow_the_half_width(value, half_width, digits, shown):
    assert significant_digits(value, half_width) == digits
    assert rounded(value, half_width) == pytest.approx(shown, rel=1e-12)


@given(st.floats(1e-6, 1e3), st.floats(1e-4, 0.3))
@settings(deadline=None, max_examples=60)
def test_rounding_moves_a_value_by_less_than_its_half_width(value, share):
    half_width = share * value
    assert abs(rounded(value, half_width) - value) <= half_width


@pytest.mark.parametrize(("value", "half_width"), [(math.nan, 1.0), (1.0, -1.0), (1.0, math.inf)])
def test_digits_of_nonsense_are_refused(value, half_width):
    with pytest.raises(UsageError):
        significant_digits(value, half_width)
