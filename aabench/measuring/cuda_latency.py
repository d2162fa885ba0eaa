"""CUDA latency: event pairs around a step, warm and cold, as a graph, and what the host takes.

Nothing waits for the device inside a loop: a batch of about 100 ms is enqueued, then synchronised
once and read. The stop rule looks at the samples between batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from aabench.measuring.clock import Clock, Durations, Stopwatch, call_seconds
from aabench.measuring.cuda_device import TimingDevice
from aabench.measuring.first_call import first_call_seconds
from aabench.measuring.garbage_collection import collect_recent, collection_paused
from aabench.measuring.latency import LatencyMeasurement
from aabench.measuring.statistics import Summary, summarize
from aabench.measuring.step import Step
from aabench.measuring.stopping import (
    CUDA_SECONDS,
    ENOUGH_SAMPLES,
    FEW_SAMPLES,
    MOST_SAMPLES,
    StopReason,
    StopRule,
    cuda_rule,
)
from aabench.measuring.warm_up import warm_up

BATCH_SECONDS = 0.1
LEAST_PER_BATCH = 10
ESTIMATE_CALLS = 5
MOST_HOST_CALLS = 20

HOST_SHARE = 0.8
"""Host time over latency from which the host explains the figure [to be confirmed on a card]."""

GRAPH_GAIN = 0.95
"""A replay must take less than this share of the latency for the host to have been the brake."""


@dataclass(frozen=True, slots=True)
class CudaLatencyMeasurement:
    """Latency of a step on a CUDA device.

    Attributes:
        warm: steps back to back; its summary is the headline.
        cold_samples_s: seconds per step with the L2 cache flushed before each; empty if not asked.
            The flush gives the host time to run ahead, so a launch-bound step may look faster cold.
        cold: summary of these, or None.
        graph_samples_s: seconds per replay as a CUDA graph; empty if not asked or not possible.
        graph: summary of these, or None.
        graph_refusal: why the step could not be captured, in one line; None if it was or not asked.
        host_enqueue_s: median host seconds to enqueue one step on an idle device; None if the clock
            misbehaved.
        launch_bound: whether the host's time explains the latency.

    """

    warm: LatencyMeasurement
    cold_samples_s: tuple[float, ...]
    cold: Summary | None
    graph_samples_s: tuple[float, ...]
    graph: Summary | None
    graph_refusal: str | None
    host_enqueue_s: float | None
    launch_bound: bool


def measure_cuda_latency(
    step: Step,
    device: TimingDevice,
    *,
    seconds: float = CUDA_SECONDS,
    enough_samples: int = ENOUGH_SAMPLES,
    cold: bool = True,
    graph: bool = True,
    first_call_s: float | None = None,
    clock: Clock = time.perf_counter_ns,
) -> CudaLatencyMeasurement:
    """Time a step on a CUDA device: first call, warm-up, warm, cold and graph samples, host time.

    ``step.reset()`` runs between the event pairs, never inside one. Garbage collection is off
    meanwhile; the card's clocks and modes are left alone. The graph comes last, since a refused
    capture is what disturbs a process most.

    Args:
        step: the work.
        device: the device that the step runs on.
        seconds: time for the warm samples, 15 at most; the other passes take about 100 ms each, or
            a few steps where a step is long.
        enough_samples: samples below which only time ends the sampling.
        cold: whether to take cold samples.
        graph: whether to try a CUDA graph.
        first_call_s: what ``first_call_seconds`` gave, if the step has run before; None: it has
            not, and its first call is timed here.
        clock: the host's source of nanoseconds.

    Raises:
        ClockError: the host's clock stands still or runs back.
        RuntimeError: whatever the step or the device raises, except a refused capture.
        UsageError: ``seconds`` or ``enough_samples`` is not positive.

    """
    rule = cuda_rule(seconds, enough_samples)
    with device.activated(), collection_paused():
        if first_call_s is None:
            first_call_s = first_call_seconds(step, synchronize=device.synchronize, clock=clock)
        warm, step_s = _measure_warm(step, device, rule, first_call_s, clock)
        calls = calls_per_batch(step_s, rule.seconds)
        cold_samples = _cold_samples(step, device, calls) if cold else ()
        host_enqueue_s = _host_enqueue_seconds(step, device, min(calls, MOST_HOST_CALLS), clock)
        graph_samples, refusal = _graph_samples(step, device, calls) if graph else ((), None)
    graph_summary = summarize(graph_samples) if graph_samples else None
    graph_s = None if graph_summary is None else graph_summary.median
    return CudaLatencyMeasurement(
        warm=warm,
        cold_samples_s=cold_samples,
        cold=summarize(cold_samples) if cold_samples else None,
        graph_samples_s=graph_samples,
        graph=graph_summary,
        graph_refusal=refusal,
        host_enqueue_s=host_enqueue_s,
        launch_bound=is_launch_bound(warm.summary.median, host_enqueue_s, graph_s),
    )


def calls_per_batch(step_s: float, seconds: float) -> int:
    """Calls worth about 100 ms, 10 to 10 000, but no more than fit the seconds, and 3 at least."""
    wanted = min(MOST_SAMPLES, max(LEAST_PER_BATCH, round(BATCH_SECONDS / step_s)))
    return max(FEW_SAMPLES, min(wanted, int(seconds / step_s)))


def is_launch_bound(
    latency_s: float, host_enqueue_s: float | None, graph_s: float | None = None
) -> bool:
    """Whether the host's time to enqueue a step explains its latency.

    It does when enqueuing takes most of the latency, unless a graph, which needs no enqueuing, is
    hardly faster: then the launch queue was full, and the host merely waited for the device.

    Args:
        latency_s: median warm latency.
        host_enqueue_s: median host seconds to enqueue one step.
        graph_s: median seconds of a replay, where there is one.

    """
    if host_enqueue_s is None or host_enqueue_s < HOST_SHARE * latency_s:
        return False
    return graph_s is None or graph_s < GRAPH_GAIN * latency_s


def _measure_warm(
    step: Step, device: TimingDevice, rule: StopRule, first_call_s: float | None, clock: Clock
) -> tuple[LatencyMeasurement, float]:
    """The warm samples, and the estimate of one step's seconds that they were planned with."""
    warm = warm_up(lambda calls: _timed_calls(step, device, calls))
    estimate_calls = min(ESTIMATE_CALLS, calls_per_batch(warm.step_s, rule.seconds))
    estimate = [s for s in _timed_calls(step, device, estimate_calls) if s > 0]
    step_s = median(estimate) if estimate else warm.step_s
    durations, stopped_by = _sample(step, device, step_s, rule, clock)
    measurement = LatencyMeasurement(
        samples_s=tuple(durations.kept),
        summary=summarize(durations.kept),
        calls_per_sample=1,
        first_call_s=first_call_s,
        warmup_calls=warm.calls + estimate_calls,
        warmup_settled=warm.settled,
        discarded_samples=durations.discarded,
        stopped_by=stopped_by,
    )
    return measurement, step_s


def _sample(
    step: Step, device: TimingDevice, step_s: float, rule: StopRule, clock: Clock
) -> tuple[Durations, StopReason]:
    """Take batches of samples until the rule says stop, one batch at least."""
    durations = Durations()
    watch = Stopwatch(clock)
    while True:
        left = max(1, rule.most_samples - len(durations.kept))
        for seconds in _timed_calls(step, device, min(left, calls_per_batch(step_s, rule.seconds))):
            durations.add(seconds)
        collect_recent()
        stopped_by = rule.reason(durations.kept, watch.elapsed_s())
        if stopped_by is not None and durations.kept:
            return durations, stopped_by


def _timed_calls(
    step: Step,
    device: TimingDevice,
    calls: int,
    *,
    run: Callable[[], object] | None = None,
    before_each: Callable[[], None] | None = None,
) -> list[float]:
    """Device seconds of each of so many calls, enqueued without waiting and read at the end.

    Args:
        step: the work, reset after every call.
        device: where it runs.
        calls: how many, at least 1.
        run: what to call in place of ``step.run``, such as a replay.
        before_each: enqueued ahead of each call, outside its marks.

    """
    run = step.run if run is None else run
    marks = []
    for _ in range(calls):
        if before_each is not None:
            before_each()
        begin = device.mark()
        run()
        marks.append((begin, device.mark()))
        step.reset()
    device.synchronize()
    return [device.seconds_between(begin, end) for begin, end in marks]


def _cold_samples(step: Step, device: TimingDevice, calls: int) -> tuple[float, ...]:
    flush = device.cache_flusher()
    durations = Durations()
    for seconds in _timed_calls(step, device, calls, before_each=flush):
        durations.add(seconds)
    return tuple(durations.kept)


def _host_enqueue_seconds(
    step: Step, device: TimingDevice, calls: int, clock: Clock
) -> float | None:
    """Median host seconds to enqueue a step, the queue being empty each time.

    With work in the queue the host would sooner or later wait for room in it, and its time would
    be the device's.
    """
    durations = Durations()
    for _ in range(calls):
        device.synchronize()
        durations.add(call_seconds(step.run, clock))
        step.reset()
    device.synchronize()
    return median(durations.kept) if durations.kept else None


def _graph_samples(
    step: Step, device: TimingDevice, calls: int
) -> tuple[tuple[float, ...], str | None]:
    """Seconds of each replay, or none and the reason why the step cannot be captured."""
    durations = Durations()
    try:
        with device.captured(step) as replay:
            _timed_calls(step, device, 1, run=replay)  # the first replay uploads the graph
            for seconds in _timed_calls(step, device, calls, run=replay):
                durations.add(seconds)
    except RuntimeError as error:
        step.reset()
        device.synchronize()  # a device that the attempt has broken raises here, and should
        return (), _one_line(error)
    return tuple(durations.kept), None


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
