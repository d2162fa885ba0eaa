"""The latency measurement: the samples of one round and everything known of how they were taken."""

from __future__ import annotations

from dataclasses import dataclass

from aabench.measuring.statistics import Summary
from aabench.measuring.stopping import StopReason


@dataclass(frozen=True, slots=True)
class LatencyMeasurement:
    """Warm seconds per step, with how they were taken.

    Attributes:
        samples_s: seconds per step, in the order taken; every one that was a duration.
        summary: of these samples.
        calls_per_sample: steps that one sample is the mean of; 1 on CUDA.
        first_call_s: seconds of the very first step, compilation and kernel choice included; None
            if the clock misbehaved during it.
        warmup_calls: steps run between the first one and the first sample.
        warmup_settled: whether the step's time had settled when sampling began.
        discarded_samples: samples discarded because the clock misbehaved.
        stopped_by: why sampling ended.

    """

    samples_s: tuple[float, ...]
    summary: Summary
    calls_per_sample: int
    first_call_s: float | None
    warmup_calls: int
    warmup_settled: bool
    discarded_samples: int
    stopped_by: StopReason
