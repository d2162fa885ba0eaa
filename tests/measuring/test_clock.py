"""Clocks that step, stand still and run back."""

import math

import pytest
from simulated_time import SimulatedClock

from aabench.errors import AabenchError
from aabench.measuring.clock import (
    MOST_IN_A_ROW,
    ClockError,
    Durations,
    Stopwatch,
    call_seconds,
)


def test_a_stopwatch_counts_only_forward():
    clock = SimulatedClock()
    watch = Stopwatch(clock)
    clock.pass_seconds(2)
    assert watch.elapsed_s() == 2
    clock.pass_seconds(-3600)
    assert watch.elapsed_s() == 2
    clock.pass_seconds(0.5)
    assert watch.elapsed_s() == 2.5


def test_a_stopwatch_gives_up_on_a_clock_that_stands_still():
    watch = Stopwatch(SimulatedClock())
    with pytest.raises(ClockError, match="stands still"):
        for _ in range(MOST_IN_A_ROW + 1):
            watch.elapsed_s()


def test_impossible_durations_are_discarded_and_counted():
    durations = Durations()
    taken = [durations.add(seconds) for seconds in (1.0, -0.5, 0.0, math.nan, math.inf, 2.0)]
    assert taken == [True, False, False, False, False, True]
    assert durations.kept == [1.0, 2.0]
    assert durations.discarded == 4


def test_a_jump_forward_is_kept():
    durations = Durations()
    durations.add(3600.0)
    assert durations.kept == [3600.0]


def test_ten_impossible_durations_in_a_row_are_an_error():
    durations = Durations()
    for _ in range(MOST_IN_A_ROW - 1):
        durations.add(-1.0)
    durations.add(1.0)  # one good one starts the count anew
    for _ in range(MOST_IN_A_ROW - 1):
        durations.add(0.0)
    with pytest.raises(ClockError, match="runs back") as caught:
        durations.add(0.0)
    assert isinstance(caught.value, AabenchError)


def test_call_seconds_is_what_the_clock_says():
    clock = SimulatedClock()
    assert call_seconds(lambda: clock.pass_seconds(0.25), clock) == 0.25
