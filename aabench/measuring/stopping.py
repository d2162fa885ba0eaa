"""Stop rules: when a measurement has enough samples, told from samples and elapsed time alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aabench.errors import UsageError
from aabench.measuring.statistics import summarize

StopReason = Literal["precise", "flat", "time", "count"]
"""Why sampling ended: a narrow interval, noise that no longer changes, time, or too many samples."""

PRECISE_HALF_WIDTH = 0.01
"""Half-width of the median's confidence interval, relative to the median, that is good enough."""

ENOUGH_SAMPLES = 10
"""Samples below which a measurement is doubtful and no rule but time may end it."""

MOST_SAMPLES = 10_000

FEW_SAMPLES = 3
"""Samples worth overrunning the time for, up to ``OVERRUN`` times the seconds given."""

OVERRUN = 2.0

FLAT_WINDOW = 64
FLAT_CHECKPOINTS = 9
FLAT_SPREAD = 0.05

CUDA_SECONDS = 15.0
"""Sampling of one CUDA case never takes longer, whatever time is given."""


@dataclass(frozen=True, slots=True)
class StopRule:
    """When to stop sampling.

    Attributes:
        seconds: sampling time.
        enough_samples: samples needed before precision or flat noise may end the sampling.
        flat_window: samples over which flat noise ends the sampling; None: it never does.
        most_samples: samples after which the sampling ends in any case.

    Raises:
        UsageError: a limit that is not positive and finite.

    """

    seconds: float
    enough_samples: int = ENOUGH_SAMPLES
    flat_window: int | None = None
    most_samples: int = MOST_SAMPLES

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UsageError(
                "the sampling time of a case must be positive",
                got=self.seconds,
                allowed="seconds above 0",
            )
        if self.enough_samples < 1 or self.most_samples < 1:
            raise UsageError("a stop rule needs at least one sample", got=self)

    def reason(self, samples_s: Sequence[float], elapsed_s: float) -> StopReason | None:
        """Why to stop now, or None: go on.

        Time ends the sampling at the seconds given. A step so long that this would leave fewer than
        ``FEW_SAMPLES`` may overrun them for a few samples more, as long as the next sample is
        expected to end within ``OVERRUN`` times the seconds.

        Args:
            samples_s: positive seconds per step, in the order taken.
            elapsed_s: seconds since the first sample began.

        """
        count = len(samples_s)
        if count == 0:
            return "time" if elapsed_s >= OVERRUN * self.seconds else None
        if elapsed_s >= self.seconds and not self._worth_overrunning(count, elapsed_s):
            return "time"
        if count >= self.most_samples:
            return "count"
        return self._said_enough(samples_s) if count >= self.enough_samples else None

    def _said_enough(self, samples_s: Sequence[float]) -> StopReason | None:
        half_width = summarize(samples_s).relative_half_width
        if half_width is not None and half_width < PRECISE_HALF_WIDTH:
            return "precise"
        if self.flat_window is not None and noise_is_flat(samples_s, self.flat_window):
            return "flat"
        return None

    def _worth_overrunning(self, count: int, elapsed_s: float) -> bool:
        next_end = elapsed_s * (count + 1) / count
        return count < FEW_SAMPLES and next_end <= OVERRUN * self.seconds


def cpu_rule(seconds: float, enough_samples: int = ENOUGH_SAMPLES) -> StopRule:
    """Stop on the CPU at the seconds given or at a half-width below 1 %."""
    return StopRule(seconds, enough_samples)


def cuda_rule(seconds: float, enough_samples: int = ENOUGH_SAMPLES) -> StopRule:
    """Stop on CUDA at a half-width below 1 %, flat noise or the seconds given, at most 15."""
    return StopRule(min(seconds, CUDA_SECONDS), enough_samples, flat_window=FLAT_WINDOW)


def noise_is_flat(samples_s: Sequence[float], window: int = FLAT_WINDOW) -> bool:
    """Whether the last ``window`` samples have told nothing new of the noise.

    The noise, IQR over median of all samples so far, is looked at after each eighth of the window.
    It is flat when these nine values have a standard deviation of at most 5 % of their mean: the
    spread has been seen as it is, and more samples would only narrow the interval as 1/sqrt(n).

    Args:
        samples_s: positive seconds per step, in the order taken.
        window: number of latest samples that must have left the noise as it was.

    """
    before = len(samples_s) - window
    if before < ENOUGH_SAMPLES:
        return False
    taken = np.asarray(samples_s, dtype=np.float64)
    ends = np.linspace(before, len(samples_s), FLAT_CHECKPOINTS).round().astype(int)
    quartiles = np.array([np.percentile(taken[:end], (25, 50, 75)) for end in ends])
    noise = (quartiles[:, 2] - quartiles[:, 0]) / quartiles[:, 1]
    return bool(noise.std() <= FLAT_SPREAD * noise.mean())
