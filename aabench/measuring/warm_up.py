"""Warm-up: running a step until its time has settled, and what it then takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from aabench.measuring.clock import Durations

BLOCK_SECONDS = 0.025
"""Length of a warm-up block, and the least total warm-up."""

SETTLED = 0.05
"""Relative difference between the medians of two successive blocks below which a step is warm."""

CAP_SECONDS = 2.0
"""Warm-up ends here, settled or not."""

MOST_CALLS_PER_BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How a warm-up went.

    Attributes:
        calls: steps run.
        step_s: median seconds per step of the last block.
        settled: whether the last two blocks agreed; False: the time cap ended the warm-up.

    """

    calls: int
    step_s: float
    settled: bool


def warm_up(time_calls: Callable[[int], Sequence[float]], cap_s: float = CAP_SECONDS) -> WarmUp:
    """Run blocks of at least 25 ms until the medians of two in a row differ by less than 5 %.

    The first block is a single call, from which the size of the next follows; a step of 25 ms or
    more is a block by itself.

    Args:
        time_calls: runs a step so many times and gives the seconds of each.
        cap_s: seconds after which no further block is begun.

    Raises:
        ClockError: the clock stands still or runs back.

    """
    durations = Durations()
    calls, block, total_s, previous = 0, 1, 0.0, math.inf
    while True:
        kept = [seconds for seconds in time_calls(block) if durations.add(seconds)]
        calls += block
        if not kept:
            continue
        total_s += sum(kept)
        step_s = float(median(kept))
        settled = total_s >= BLOCK_SECONDS and abs(step_s - previous) < SETTLED * previous
        if settled or total_s >= cap_s:
            return WarmUp(calls, step_s, settled)
        previous = step_s
        block = min(MOST_CALLS_PER_BLOCK, max(1, math.ceil(BLOCK_SECONDS / step_s)))
