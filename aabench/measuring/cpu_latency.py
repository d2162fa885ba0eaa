"""CPU latency: timing a step that runs to its end before it returns.

How long a sample is. METHOD wants at least 100 ms where the step is short, so that one interruption
does not make a sample; at least 10 samples, so that there is an interval; and the time given to be
kept. Where all three do not go together, the number of samples wins over their length: a sample
lasts min(100 ms, seconds / enough_samples). Whoever measures in several rounds passes the samples
it needs of each: with 1.5 s in two rounds of 5 samples each, samples keep their 100 ms.
"""

from __future__ import annotations

import math
import time

from aabench.measuring.clock import Clock, Durations, Stopwatch, call_seconds
from aabench.measuring.first_call import first_call_seconds
from aabench.measuring.garbage_collection import collect_recent, collection_paused
from aabench.measuring.latency import LatencyMeasurement
from aabench.measuring.statistics import summarize
from aabench.measuring.step import Step
from aabench.measuring.stopping import ENOUGH_SAMPLES, StopReason, StopRule, cpu_rule
from aabench.measuring.warm_up import CAP_SECONDS, warm_up

SAMPLE_SECONDS = 0.1
MOST_CALLS_PER_SAMPLE = 1_000_000
WARM_UP_SHARE = 0.2
"""Warm-up takes at most this share of the sampling time, so that long steps are not run in vain."""


def measure_cpu_latency(
    step: Step,
    *,
    seconds: float,
    enough_samples: int = ENOUGH_SAMPLES,
    first_call_s: float | None = None,
    clock: Clock = time.perf_counter_ns,
) -> LatencyMeasurement:
    """Time a step on the CPU: first call, warm-up, then samples until the stop rule ends them.

    Each call is clocked by itself, so that ``step.reset()`` stays outside the clock; a sample is
    the mean of enough calls in a row. Garbage collection is off meanwhile, and the thread count
    is left as it is.

    Args:
        step: the work.
        seconds: sampling time, on top of first call and warm-up.
        enough_samples: samples to aim for; see the top of this file.
        first_call_s: what ``first_call_seconds`` gave, if the step has run before; None: it has
            not, and its first call is timed here.
        clock: the source of nanoseconds.

    Raises:
        ClockError: the clock stands still or runs back.
        UsageError: ``seconds`` or ``enough_samples`` is not positive.

    """
    rule = cpu_rule(seconds, enough_samples)
    with collection_paused():
        if first_call_s is None:
            first_call_s = first_call_seconds(step, clock=clock)
        warm = warm_up(
            lambda calls: [timed_call(step, clock) for _ in range(calls)],
            cap_s=min(CAP_SECONDS, WARM_UP_SHARE * seconds),
        )
        calls = calls_per_sample(warm.step_s, seconds, enough_samples)
        durations, stopped_by = _sample(step, calls, rule, clock)
    return LatencyMeasurement(
        samples_s=tuple(durations.kept),
        summary=summarize(durations.kept),
        calls_per_sample=calls,
        first_call_s=first_call_s,
        warmup_calls=warm.calls,
        warmup_settled=warm.settled,
        discarded_samples=durations.discarded,
        stopped_by=stopped_by,
    )


def calls_per_sample(step_s: float, seconds: float, enough_samples: int = ENOUGH_SAMPLES) -> int:
    """Calls that one sample is the mean of, at least 1; see the top of this file.

    Args:
        step_s: seconds of one warm step, positive.
        seconds: sampling time.
        enough_samples: samples to aim for within it.

    """
    sample_s = min(SAMPLE_SECONDS, seconds / enough_samples)
    return min(MOST_CALLS_PER_SAMPLE, max(1, math.ceil(sample_s / step_s)))


def timed_call(step: Step, clock: Clock) -> float:
    """Seconds of one run of a step, reset afterwards; not positive if the clock misbehaved."""
    duration = call_seconds(step.run, clock)
    step.reset()
    return duration


def _sample(step: Step, calls: int, rule: StopRule, clock: Clock) -> tuple[Durations, StopReason]:
    """Take samples until the rule says stop, one at least."""
    durations = Durations()
    watch = Stopwatch(clock)
    while True:
        durations.add(_mean_of_calls(step, calls, clock))
        collect_recent()
        stopped_by = rule.reason(durations.kept, watch.elapsed_s())
        if stopped_by is not None and durations.kept:
            return durations, stopped_by


def _mean_of_calls(step: Step, calls: int, clock: Clock) -> float:
    """Mean seconds per call; NaN if the clock ran back during one of them."""
    total = 0.0
    for _ in range(calls):
        duration = timed_call(step, clock)
        if duration < 0:
            return math.nan
        total += duration
    return total / calls
