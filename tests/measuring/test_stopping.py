"""Stop rules over samples and elapsed time; nothing is timed."""

import math
import random

import pytest

from aabench.errors import UsageError
from aabench.measuring.statistics import summarize
from aabench.measuring.stopping import StopRule, cpu_rule, cuda_rule, noise_is_flat


def noisy(count, spread, seed=1):
    source = random.Random(seed)
    return [1 + spread * source.random() for _ in range(count)]


def test_time_ends_the_sampling_at_the_seconds_given():
    samples = noisy(5, 0.5)
    assert cpu_rule(1.5).reason(samples, 1.4999) is None
    assert cpu_rule(1.5).reason(samples, 1.5) == "time"


def test_a_narrow_interval_ends_it_before():
    steady = [1.0, 1.001, 0.999, 1.002, 0.998] * 2
    assert summarize(steady).relative_half_width < 0.01
    assert cpu_rule(100).reason(steady, 1.0) == "precise"
    assert cpu_rule(100).reason(noisy(10, 0.5), 1.0) is None


def test_precision_needs_enough_samples():
    assert cpu_rule(100).reason([1.0] * 9, 1.0) is None
    assert cpu_rule(100, enough_samples=6).reason([1.0] * 6, 1.0) == "precise"
    # five samples have no interval, however alike they are
    assert cpu_rule(100, enough_samples=3).reason([1.0] * 5, 1.0) is None


def test_the_bound_is_one_per_cent():
    def with_half_width(share):
        return [1 - share] * 6 + [1.0] + [1 + share] * 6  # n = 13: x_(3) to x_(11)

    assert cpu_rule(100).reason(with_half_width(0.0099), 1.0) == "precise"
    assert cpu_rule(100).reason(with_half_width(0.0101), 1.0) is None


@pytest.mark.parametrize(
    ("count", "elapsed", "reason"),
    [
        (1, 1.4, None),  # 1.4 s each: the second is expected at 2.8
        (1, 1.6, "time"),  # it would end at 3.2, beyond twice the seconds
        (2, 1.9, None),  # third at 2.85
        (2, 2.1, "time"),
        (3, 1.6, "time"),  # three are enough to stop on time
    ],
)
def test_long_steps_may_overrun_for_a_third_sample(count, elapsed, reason):
    assert cpu_rule(1.5).reason([1.0] * count, elapsed) == reason


def test_no_sample_yet_ends_only_far_beyond_the_time():
    assert cpu_rule(1.0).reason([], 1.9) is None
    assert cpu_rule(1.0).reason([], 2.0) == "time"


def test_flat_noise_ends_cuda_but_not_cpu():
    samples = noisy(400, 0.5)
    assert cuda_rule(10).reason(samples, 1.0) == "flat"
    assert cpu_rule(10).reason(samples, 1.0) is None


def test_noise_is_flat_only_if_it_was_over_all_64_samples():
    quiet, loud = noisy(200, 0.05), noisy(40, 1.0, seed=2)
    assert noise_is_flat(quiet)
    assert not noise_is_flat(quiet[:60] + loud)
    assert not noise_is_flat(quiet[:73])  # 9 before the window are too few to compare with
    assert not noise_is_flat(quiet[:20])


def test_cuda_never_samples_longer_than_15_seconds():
    samples = noisy(20, 1.0)
    assert cuda_rule(60).reason(samples, 14.9) is None
    assert cuda_rule(60).reason(samples, 15.0) == "time"
    assert cuda_rule(3).reason(samples, 3.0) == "time"


def test_ten_thousand_samples_are_enough():
    assert StopRule(100, most_samples=50).reason(noisy(50, 1.0), 1.0) == "count"
    assert cuda_rule(3).most_samples == 10_000


@pytest.mark.parametrize("seconds", [0, -1.0, math.nan, math.inf])
def test_impossible_times_are_refused(seconds):
    with pytest.raises(UsageError, match="sampling time"):
        cpu_rule(seconds)


def test_a_rule_without_samples_is_refused():
    with pytest.raises(UsageError, match="at least one sample"):
        cpu_rule(1.0, enough_samples=0)
