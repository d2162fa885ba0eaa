"""Warning rules: what makes figures doubtful, each with what to do about it.

Knows the values of measurements only and imports nothing heavy, so that rows can be judged where
they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aabench.measuring.gpu_reading import GpuReading
from aabench.measuring.latency import LatencyMeasurement
from aabench.measuring.statistics import Summary
from aabench.measuring.stopping import ENOUGH_SAMPLES

if TYPE_CHECKING:
    from aabench.measuring.memory import MemoryMeasurement

NOISY_IQR = 0.10
"""Interquartile range over median from which samples are called noisy."""

DRIFTED = 0.05
"""Relative difference between two rounds' medians from which they are said to disagree."""

LEFTOVER_BYTES = 2**20
LEFTOVER_SHARE = 0.01

Code = Literal[
    "noisy",
    "few-samples",
    "outliers",
    "drift",
    "not-warm",
    "clock",
    "other-process",
    "throttled",
    "launch-bound",
    "retried",
    "leftovers",
    "interpreted",
]


@dataclass(frozen=True, slots=True)
class Remark:
    """One reason to doubt a figure.

    Attributes:
        code: a stable name for it.
        text: what was seen, with its figure.
        remedy: what to do or run next.

    """

    code: Code
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text} — {self.remedy}"


def sample_remarks(summary: Summary, drift: float | None = None) -> list[Remark]:
    """What the samples of all rounds say against themselves.

    Args:
        summary: of all samples.
        drift: between the rounds, as ``drift_between`` gives it.

    """
    remarks = []
    if summary.n < ENOUGH_SAMPLES:
        remarks.append(
            Remark(
                "few-samples",
                f"only {_counted(summary.n, 'sample')}",
                "raise --seconds-per-case or --rounds",
            )
        )
    if summary.relative_iqr > NOISY_IQR:
        remarks.append(
            Remark(
                "noisy",
                f"noisy: the middle half of the samples spreads over {summary.relative_iqr:.0%} "
                "of the median",
                "see `aabench doctor` for what disturbs this machine, then raise --seconds-per-case",
            )
        )
    if summary.outliers:
        remarks.append(
            Remark(
                "outliers",
                f"{_counted(summary.outliers, 'outlier')} among {summary.n} samples",
                "trust the median, not the extremes; see `aabench doctor` for what else runs here",
            )
        )
    if drift is not None and drift > DRIFTED:
        remarks.append(
            Remark(
                "drift",
                f"the rounds' medians differ by {drift:.0%}",
                "raise --rounds, and let the machine reach a steady temperature and load first",
            )
        )
    return remarks


def latency_remarks(
    measurement: LatencyMeasurement, *, is_launch_bound: bool = False
) -> list[Remark]:
    """What speaks against the way that the samples of one round were taken.

    Args:
        measurement: of the warm steps.
        is_launch_bound: whether the host's time explains the latency.

    """
    remarks = []
    if not measurement.warmup_settled:
        remarks.append(
            Remark(
                "not-warm",
                f"still speeding up or slowing down after {measurement.warmup_calls} warm-up steps",
                "raise --seconds-per-case and compare the rounds",
            )
        )
    if measurement.discarded_samples:
        remarks.append(
            Remark(
                "clock",
                f"the clock stepped: {_counted(measurement.discarded_samples, 'sample')} discarded",
                "check the machine's time source, or measure on bare metal",
            )
        )
    if is_launch_bound:
        remarks.append(
            Remark(
                "launch-bound",
                "launch-bound: the host's launches take the time, not the card's arithmetic",
                "raise --batch, or try --compile on",
            )
        )
    return remarks


def gpu_remarks(readings: Sequence[GpuReading]) -> list[Remark]:
    """What readings of a card before, during and after a measurement say against it.

    Args:
        readings: of one card, in order of time.

    """
    remarks = []
    others = max((reading.other_processes or 0 for reading in readings), default=0)
    if others:
        remarks.append(
            Remark(
                "other-process",
                f"{_counted(others, 'other process', 'other processes')} on the GPU",
                "end them (`nvidia-smi` lists them) and run again with --again",
            )
        )
    reasons = list(dict.fromkeys(reason for reading in readings for reason in reading.slowdowns))
    times = [reading.slowed_s for reading in readings if reading.slowed_s is not None]
    slowed_s = times[-1] - times[0] if times else 0.0
    if reasons or slowed_s > 0:
        why = ", ".join(reasons) or f"{slowed_s:.2g} s by power limit or heat"
        remarks.append(
            Remark(
                "throttled",
                f"the GPU's clocks were held down: {why}",
                "improve cooling or raise the power limit, or compare only runs throttled alike",
            )
        )
    return remarks


def kernel_remarks(kernel: str) -> list[Remark]:
    """What is doubtful about figures because of the kernel that computed the attention."""
    if kernel != "triton-interpreter":
        return []
    return [
        Remark(
            "interpreted",
            "Triton's interpreter ran the kernels on the CPU",
            "trust the check alone: time and memory say nothing of the compiled kernels",
        )
    ]


def memory_remarks(measurement: MemoryMeasurement) -> list[Remark]:
    """What speaks against a memory pass."""
    remarks = []
    if not measurement.is_clean:
        retries = measurement.allocator_retries or 0
        remarks.append(
            Remark(
                "retried",
                f"the allocator ran out and flushed its cache {_counted(retries, 'time')}",
                "lower --batch or free the card: peak and latency are those of a squeezed step",
            )
        )
    leftover = measurement.unaccounted_bytes or 0
    if leftover > max(LEFTOVER_BYTES, LEFTOVER_SHARE * measurement.peak_allocated_bytes):
        remarks.append(
            Remark(
                "leftovers",
                f"{leftover / 2**20:.1f} MiB of the base belong to nothing in this case",
                "run with --isolate, so that no earlier case can leave memory behind",
            )
        )
    return remarks


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
