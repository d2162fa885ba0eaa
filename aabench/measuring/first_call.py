"""The first call of a step: compilation, kernel choice and first allocations, timed on their own."""

from __future__ import annotations

import time
from collections.abc import Callable

from aabench.measuring.clock import Clock, call_seconds
from aabench.measuring.step import Step


def first_call_seconds(
    step: Step,
    *,
    synchronize: Callable[[], None] | None = None,
    clock: Clock = time.perf_counter_ns,
) -> float | None:
    """Run a step for the first time, to its end, and reset it.

    Args:
        step: the work; it must not have run before.
        synchronize: waits for the device the step runs on; None on the CPU.
        clock: the host's source of nanoseconds.

    Returns:
        Seconds, or None if the clock misbehaved meanwhile.

    """

    def run_to_the_end() -> None:
        step.run()
        if synchronize is not None:
            synchronize()

    if synchronize is not None:
        synchronize()
    seconds = call_seconds(run_to_the_end, clock)
    step.reset()
    return seconds if seconds > 0 else None
