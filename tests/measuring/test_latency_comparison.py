"""Two sets of latency samples: the rank test against enumeration, and verdicts that may be relied on."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.errors import UsageError
from aabench.measuring import rank_test as rank_test_module
from aabench.measuring.latency_comparison import (
    FEWEST_SAMPLES,
    SIGNIFICANCE,
    Verdict,
    compare_latencies,
)
from aabench.measuring.rank_test import rank_test

MIRRORED = {
    Verdict.FASTER: Verdict.SLOWER,
    Verdict.SLOWER: Verdict.FASTER,
    Verdict.SAME: Verdict.SAME,
    Verdict.CANNOT_TELL: Verdict.CANNOT_TELL,
}

few = st.lists(st.integers(1, 6), min_size=1, max_size=6)
durations = st.lists(
    st.floats(1e-6, 1e3, allow_nan=False).map(lambda value: float(f"{value:.3g}")),
    min_size=1,
    max_size=30,
)


def enumerated(a, b):
    """The share of all assignments of the pooled samples whose wins of a lie as far from half.

    A win of a over b counts 1 and a tie half: the U of Mann and Whitney, by its definition.
    """

    def wins(ours, theirs):
        return sum((x > y) + 0.5 * (x == y) for x in ours for y in theirs)

    pooled, half = [*a, *b], len(a) * len(b) / 2
    observed = abs(wins(a, b) - half)
    places = range(len(pooled))
    far = total = 0
    for chosen in itertools.combinations(places, len(a)):
        ours = [pooled[place] for place in chosen]
        theirs = [pooled[place] for place in places if place not in chosen]
        far += abs(wins(ours, theirs) - half) >= observed
        total += 1
    return far / total


def p_of(a, b):
    return rank_test(np.array(a, dtype=float), np.array(b, dtype=float))


@settings(deadline=None, max_examples=60)
@given(few, few)
def test_the_exact_p_is_the_share_of_assignments(a, b):
    assert p_of(a, b) == pytest.approx(enumerated(a, b), rel=1e-12)


def test_seven_samples_a_side_are_the_fewest_that_can_decide():
    def apart(count):
        return p_of(range(1, count + 1), range(100, 100 + count))

    assert apart(FEWEST_SAMPLES - 1) == 2 / math.comb(12, 6) > SIGNIFICANCE
    assert apart(FEWEST_SAMPLES) == 2 / math.comb(14, 7) < SIGNIFICANCE


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("digits", [1, 6], ids=["many ties", "no ties"])
def test_the_approximation_joins_on_to_the_exact_p(shift, digits, monkeypatch):
    source = random.Random(3)
    a = [round(source.gauss(5, 1), digits) for _ in range(25)]
    b = [round(source.gauss(5 + shift, 1), digits) for _ in range(25)]
    exact = p_of(a, b)
    monkeypatch.setattr(rank_test_module, "EXACT_UP_TO", 0)
    assert p_of(a, b) == pytest.approx(exact, rel=0.2, abs=2e-4)


def test_p_is_as_rare_as_it_says_where_nothing_differs():
    source = np.random.default_rng(5)
    found = [
        rank_test(source.exponential(size=60), source.exponential(size=40)) for _ in range(800)
    ]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.median(found) == pytest.approx(0.5, abs=0.06)


def test_equal_samples_differ_in_nothing():
    assert p_of([2.0] * 40, [2.0] * 40) == 1 == p_of([2.0] * 3, [2.0] * 3)


@settings(deadline=None, max_examples=80)
@given(durations, durations, st.sampled_from([0.0, 0.01, 0.05, 0.5]))
def test_swapping_the_sides_mirrors_all_that_is_said(a, b, threshold):
    ours, theirs = compare_latencies(a, b, threshold), compare_latencies(b, a, threshold)
    assert theirs.verdict is MIRRORED[ours.verdict]
    assert theirs.ratio == pytest.approx(1 / ours.ratio)
    assert theirs.p_value == pytest.approx(ours.p_value)
    if ours.low is not None:
        assert theirs.high == pytest.approx(1 / ours.low)


@settings(deadline=None, max_examples=80)
@given(durations, durations, st.sampled_from([0.0, 0.05, 0.5]), st.sampled_from([1e-3, 7.0]))
def test_verdicts_keep_what_they_promise(a, b, threshold, unit):
    found = compare_latencies(a, b, threshold)
    if found.verdict in (Verdict.FASTER, Verdict.SLOWER):
        slower = found.verdict is Verdict.SLOWER
        assert (found.ratio > 1 + threshold) if slower else (found.ratio < 1 / (1 + threshold))
        assert found.p_value < SIGNIFICANCE and min(len(a), len(b)) >= FEWEST_SAMPLES
    elif found.verdict is Verdict.SAME:
        assert 1 / (1 + threshold) <= found.low <= found.ratio <= found.high <= 1 + threshold
    assert bool(found.reason) == (found.verdict is Verdict.CANNOT_TELL)
    scaled = compare_latencies([x * unit for x in a], [x * unit for x in b], threshold)
    assert scaled.ratio == pytest.approx(found.ratio)


def spread(middle, share, count=20):
    """Samples evenly spread around a middle, up to a share of it away."""
    return [middle * (1 + share * (2 * place / (count - 1) - 1)) for place in range(count)]


@pytest.mark.parametrize(
    ("a", "b", "verdict", "clue"),
    [
        (spread(1.0, 0.02), spread(1.2, 0.02), Verdict.SLOWER, ""),
        (spread(1.2, 0.02), spread(1.0, 0.02), Verdict.FASTER, ""),
        (spread(1.0, 0.01), spread(1.01, 0.01), Verdict.SAME, ""),
        (spread(1.0, 0.01, 6), spread(1.2, 0.01, 6), Verdict.CANNOT_TELL, "needs 7"),
        (spread(1.0, 0.01, 6), spread(1.0, 0.01, 6), Verdict.CANNOT_TELL, "needs 7"),
        (spread(1.0, 0.6), spread(1.1, 0.6), Verdict.CANNOT_TELL, "p = 0.4"),
        (spread(1.0, 0.3), spread(1.01, 0.3), Verdict.CANNOT_TELL, "past the threshold"),
        (
            # Two peaks each: the ranks differ clearly, the medians' intervals span both peaks.
            [1.0] * 19 + [1.2] * 11,
            [1.1] * 11 + [1.3] * 19,
            Verdict.CANNOT_TELL,
            "intervals overlap",
        ),
    ],
)
def test_verdicts_on_stored_samples(a, b, verdict, clue):
    found = compare_latencies(a, b, 0.05)
    assert (found.verdict, clue in found.reason) == (verdict, True), found


def test_a_difference_that_is_real_and_too_small_to_matter_is_the_same():
    found = compare_latencies(spread(1.0, 0.001, 200), spread(1.02, 0.001, 200), 0.05)
    assert found.p_value < 1e-30 and found.verdict is Verdict.SAME


def test_the_interval_holds_the_ratio_as_often_as_it_says():
    source = np.random.default_rng(11)
    hits = 0
    for _ in range(400):
        a, b = source.lognormal(0.0, 0.5, 15), source.lognormal(math.log(1.3), 0.8, 22)
        found = compare_latencies(a.tolist(), b.tolist(), 0.05)
        hits += found.low <= 1.3 <= found.high
    assert hits / 400 >= 0.95


def test_no_verdict_on_what_is_no_duration():
    with pytest.raises(UsageError, match="no duration"):
        compare_latencies([1.0, math.nan], [1.0], 0.05)
    with pytest.raises(UsageError, match="at least one sample"):
        compare_latencies([], [1.0], 0.05)
