"""The clock: nanoseconds from a callable, elapsed time that never runs back, sane durations.

``time.perf_counter_ns`` is the clock of every real measurement. It does not step on a healthy
machine, but virtual machines that migrate or sleep have been seen to break that promise, and a
negative or empty duration must become neither a sample nor an endless loop. So:

- a duration that is zero, negative or not finite is discarded, and the discarded ones are counted;
- ``MOST_IN_A_ROW`` of them in succession mean that the clock stands still or runs back: an error;
- a jump forward cannot be told from an interruption: it stays, as the outlier that it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from aabench.errors import RunError

Clock = Callable[[], int]
"""Returns nanoseconds since any fixed moment."""

NANOSECONDS = 1e-9
MOST_IN_A_ROW = 10


class ClockError(RunError):
    """The clock stands still or runs back, so nothing can be timed."""


class Stopwatch:
    """Seconds since its making; where the clock steps back, it waits until the clock moves again.

    Args:
        clock: the source of nanoseconds.

    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock()
        self._elapsed = 0
        self._in_a_row = 0

    def elapsed_s(self) -> float:
        """Seconds that the clock has gone forward since this watch was made.

        Raises:
            ClockError: it has not moved forward between the last ``MOST_IN_A_ROW`` readings.

        """
        now = self._clock()
        self._in_a_row = 0 if now > self._last else self._in_a_row + 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise ClockError(
                f"the clock stands still or runs back: {self._in_a_row} readings in a row"
            )
        self._elapsed += max(0, now - self._last)
        self._last = now
        return self._elapsed * NANOSECONDS


class Durations:
    """Durations worth keeping, in the order taken, and a count of those that were not."""

    def __init__(self) -> None:
        self.kept: list[float] = []
        self.discarded = 0
        self._in_a_row = 0

    def add(self, seconds: float) -> bool:
        """Keep a duration if it can be one; returns whether it was kept.

        Raises:
            ClockError: none of the last ``MOST_IN_A_ROW`` durations could be one.

        """
        if math.isfinite(seconds) and seconds > 0:
            self.kept.append(seconds)
            self._in_a_row = 0
            return True
        self.discarded += 1
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise ClockError(
                f"the clock stands still or runs back: {self._in_a_row} durations in a row were "
                f"zero or negative, the last {seconds} s; nothing can be timed on this machine"
            )
        return False


def call_seconds(call: Callable[[], object], clock: Clock) -> float:
    """Seconds that one call takes; not positive where the clock misbehaved meanwhile."""
    begin = clock()
    call()
    return (clock() - begin) * NANOSECONDS
