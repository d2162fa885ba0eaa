"""Energy: joules that a card draws over a known number of steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from aabench.measuring.clock import Clock, Stopwatch
from aabench.measuring.cuda_device import TimingDevice
from aabench.measuring.cuda_latency import calls_per_batch
from aabench.measuring.garbage_collection import collection_paused
from aabench.measuring.gpu_reading import GpuReading
from aabench.measuring.nvml import GpuReader
from aabench.measuring.step import Step

ENERGY_SECONDS = 1.0
"""The counter moves every 20 to 100 ms, so a second keeps its step below a tenth of the figure."""


@dataclass(frozen=True, slots=True)
class EnergyMeasurement:
    """What the card drew while it ran a number of steps, its idle draw included.

    Attributes:
        joules: of all steps; None if the card tells neither energy nor power.
        steps: that were run.
        seconds: that they took.
        source: the card's energy counter, or power readings integrated over time.
        busy: a full reading of the card, taken while it worked.

    """

    joules: float | None
    steps: int
    seconds: float
    source: Literal["counter", "power"] | None
    busy: GpuReading

    def joules_per_item(self, items_per_step: int) -> float | None:
        """Joules of one item, such as an image, of which each step works through so many."""
        return None if self.joules is None else self.joules / (self.steps * items_per_step)


def measure_energy(
    step: Step,
    device: TimingDevice,
    reader: GpuReader,
    step_s: float,
    *,
    seconds: float = ENERGY_SECONDS,
    clock: Clock = time.perf_counter_ns,
) -> EnergyMeasurement:
    """Run warm steps for so many seconds and read what the card drew.

    Power is read while a batch is still being worked through, never while the card idles between
    two; reading it costs the host, which is waiting anyway.

    Args:
        step: the work, already warm.
        device: the device that the step runs on.
        reader: of the same card, opened.
        step_s: seconds that one step takes, about.
        seconds: at least this long.
        clock: the host's source of nanoseconds.

    Raises:
        ClockError: the host's clock stands still.

    """
    batch = calls_per_batch(step_s, seconds)
    powers: list[tuple[float, float]] = []
    busy: GpuReading | None = None
    steps = 0
    with device.activated(), collection_paused():
        device.synchronize()
        begin_j, watch = reader.energy_j(), Stopwatch(clock)
        elapsed_s = 0.0
        while elapsed_s < seconds:
            _enqueue(step, batch)
            steps += batch
            busy = busy or reader.read()
            power_w = reader.power_w()
            if power_w is not None:
                powers.append((watch.elapsed_s(), power_w))
            device.synchronize()
            elapsed_s = watch.elapsed_s()
        end_j = reader.energy_j()
    joules, source = _joules(begin_j, end_j, powers, elapsed_s)
    return EnergyMeasurement(joules, steps, elapsed_s, source, busy or reader.read())


def integrated_j(powers: Sequence[tuple[float, float]], seconds: float) -> float | None:
    """Joules from power readings by the trapezoidal rule; the ends take their nearest reading.

    Args:
        powers: (seconds since the begin, watts), in order of time.
        seconds: length of the whole.

    """
    if not powers:
        return None
    points = [(0.0, powers[0][1]), *powers, (seconds, powers[-1][1])]
    return sum(
        (later - earlier) * (before + after) / 2
        for (earlier, before), (later, after) in pairwise(points)
    )


def _joules(
    begin_j: float | None,
    end_j: float | None,
    powers: Sequence[tuple[float, float]],
    seconds: float,
) -> tuple[float | None, Literal["counter", "power"] | None]:
    """Joules by the counter if it moved forward, else by power."""
    if begin_j is not None and end_j is not None and end_j > begin_j:
        return end_j - begin_j, "counter"
    joules = integrated_j(powers, seconds)
    return joules, None if joules is None else "power"


def _enqueue(step: Step, calls: int) -> None:
    for _ in range(calls):
        step.run()
        step.reset()
