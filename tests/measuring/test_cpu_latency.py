"""CPU latency with a simulated clock: what is timed, how often, and what is left outside."""

import gc
import time

import pytest
from simulated_time import SECOND, SimulatedClock, SimulatedStep

from aabench.errors import UsageError
from aabench.measuring.clock import ClockError
from aabench.measuring.cpu_latency import calls_per_sample, measure_cpu_latency


def measured(seconds, budget=1.5, **settings):
    clock = SimulatedClock()
    step = SimulatedStep(clock, seconds, settings.pop("reset_seconds", 0.0))
    return measure_cpu_latency(step, seconds=budget, clock=clock, **settings), step, clock


def noisy(call):
    """Five values around 1 ms in turn, spread too far for a narrow interval."""
    return 1e-3 * (1, 1.6, 0.7, 1.3, 2.2)[call * call % 5]


def test_the_first_call_is_apart():
    result, _, _ = measured(lambda call: 7.0 if call == 0 else 0.05)
    assert result.first_call_s == 7.0
    assert max(result.samples_s) == pytest.approx(0.05)


def test_a_first_call_that_has_happened_is_taken_over():
    result, step, _ = measured(0.05, first_call_s=3.0)
    assert result.first_call_s == 3.0
    assert step.runs == result.warmup_calls + len(result.samples_s) * result.calls_per_sample


def test_every_run_is_followed_by_a_reset_outside_the_clock():
    result, step, _ = measured(2e-3, reset_seconds=0.5, budget=30)
    assert step.resets == step.runs
    assert result.summary.median == pytest.approx(2e-3)


@pytest.mark.parametrize(
    ("step_s", "seconds", "enough", "calls"),
    [
        (1e-3, 10.0, 10, 100),  # 100 ms samples
        (1e-3, 0.75, 10, 75),  # ten samples win over 100 ms
        (1e-3, 0.75, 5, 100),  # five will do: another round brings more
        (3e-3, 10.0, 10, 34),  # at least 100 ms, so rounded up
        (0.2, 10.0, 10, 1),
        (0.2, 0.75, 10, 1),
    ],
)
def test_calls_per_sample(step_s, seconds, enough, calls):
    assert calls_per_sample(step_s, seconds, enough) == calls


def test_short_steps_are_sampled_in_blocks():
    result, step, _ = measured(1e-3, budget=10.0)
    assert result.calls_per_sample == 100
    assert result.samples_s == pytest.approx([1e-3] * 10)
    assert result.stopped_by == "precise"
    assert step.runs == 1 + result.warmup_calls + 1000


def test_a_sample_is_the_mean_of_its_calls():
    result, _, _ = measured(noisy, budget=1.0)
    block = sum(noisy(call) for call in range(5)) / 5
    assert result.summary.median == pytest.approx(block, rel=0.05)


def test_long_noisy_steps_stop_at_the_time_given():
    result, _, _ = measured(lambda call: (0.11, 0.2, 0.15, 0.3)[call % 4], budget=1.5)
    assert result.stopped_by == "time"
    assert 1.5 <= sum(result.samples_s) < 1.5 + 0.3


def test_a_step_longer_than_the_time_is_sampled_once():
    result, step, _ = measured(8.0)
    assert result.stopped_by == "time"
    assert len(result.samples_s) == 1
    assert step.runs == 3  # first call, warm-up, sample


def test_a_step_of_most_of_the_time_gets_a_few_samples():
    result, _, _ = measured(0.9)
    assert len(result.samples_s) == 3


def test_warm_up_takes_at_most_a_fifth_of_the_time():
    result, _, _ = measured(lambda call: 0.1 if call % 2 else 0.2)
    assert not result.warmup_settled
    assert result.warmup_calls == 2  # 0.3 s of the 1.5


def test_the_collector_is_off_while_sampling_and_as_before_after_it():
    assert gc.isenabled()
    _, step, _ = measured(0.05)
    assert not step.collector_was_on
    assert gc.isenabled()
    gc.disable()
    try:
        measured(0.05)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_collector_is_restored_when_the_step_raises():
    def broken(_):
        raise RuntimeError("the step is broken")

    with pytest.raises(RuntimeError, match="broken"):
        measured(broken)
    assert gc.isenabled()


def test_cycles_of_a_step_do_not_pile_up_while_the_collector_is_off():
    class Cycle:
        alive = 0

        def __init__(self):
            self.me = self
            Cycle.alive += 1

        def __del__(self):
            Cycle.alive -= 1

    most = 0

    def leaky(_):
        nonlocal most
        Cycle()
        most = max(most, Cycle.alive)
        return 0.2

    result, step, _ = measured(leaky, budget=10.0)
    assert step.runs > 10
    assert most <= step.runs - len(result.samples_s) + 1


def test_a_clock_that_steps_back_costs_a_sample_and_is_told():
    clock = SimulatedClock()
    step = SimulatedStep(clock, lambda call: -3.0 if call == 6 else 0.2)
    result = measure_cpu_latency(step, seconds=1.5, clock=clock)
    assert result.discarded_samples == 1
    assert result.samples_s == pytest.approx([0.2] * len(result.samples_s))
    assert len(result.samples_s) >= 7


def test_a_clock_that_steps_back_within_a_block_spoils_the_block():
    clock = SimulatedClock()
    step = SimulatedStep(clock, lambda call: -1e-4 if call == 500 else 1e-3)
    result = measure_cpu_latency(step, seconds=1.5, clock=clock)
    assert result.discarded_samples == 1
    assert result.samples_s == pytest.approx([1e-3] * len(result.samples_s))


def test_a_clock_that_steps_back_in_the_first_call_leaves_it_unknown():
    result, _, _ = measured(lambda call: -1.0 if call == 0 else 0.1)
    assert result.first_call_s is None


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_clock_that_does_not_go_forward_ends_the_measurement(seconds):
    with pytest.raises(ClockError):
        measured(seconds)


def test_an_impossible_time_is_refused_before_anything_runs():
    clock = SimulatedClock()
    step = SimulatedStep(clock, 0.1)
    with pytest.raises(UsageError):
        measure_cpu_latency(step, seconds=-1.0, clock=clock)
    assert step.runs == 0


def test_with_the_real_clock():
    class Addition:
        runs = 0

        def run(self):
            self.runs += 1
            return sum(range(1000))

        def reset(self):
            pass

    addition, begin = Addition(), time.perf_counter()
    result = measure_cpu_latency(addition, seconds=0.2)
    elapsed = time.perf_counter() - begin
    assert result.summary.n == len(result.samples_s) >= 1
    assert 0 < result.summary.minimum <= result.summary.median
    sampled = result.calls_per_sample * result.summary.n
    assert addition.runs == 1 + result.warmup_calls + sampled
    # the parts are in the whole: seconds, on whatever machine
    assert result.first_call_s + result.calls_per_sample * sum(result.samples_s) < elapsed


def test_nanoseconds_become_seconds():
    result, _, _ = measured(0.25)
    assert result.summary.median * SECOND == pytest.approx(250_000_000)
