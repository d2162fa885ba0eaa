"""Steps against each other on a CPU: time and memory of each, in one interleaved run.

In each round every step is timed once, one after the other, so that whatever else the machine does
meanwhile meets all of them; ratios of times are taken within a round. Memory has a pass of its own:
what a step allocates at most on top of what was there before it, from the events of torch's own
allocator.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aabench.errors import UnsupportedCase
from aabench.measuring.allocation_trace import level_of
from aabench.measuring.cpu_memory import allocation_events

SAMPLE_SECONDS = 0.1

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one step took.

    Attributes:
        seconds: of a step, one per round; empty if it cannot run.
        peak_bytes: at most allocated at once on top of what was there before.
        reason: why it cannot run.
    """

    seconds: Sequence[float] = ()
    peak_bytes: int = 0
    reason: str = ""


def compare(steps: Mapping[str, Step], rounds: int) -> dict[str, Taken]:
    """Time and memory of each step, by name."""
    repeats: dict[str, int] = {}
    peaks: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for name, step in steps.items():
        try:
            step()
        except UnsupportedCase as refusal:
            reasons[name] = refusal.reason
            continue
        repeats[name] = max(1, round(SAMPLE_SECONDS / seconds_of(step)))
        peaks[name] = level_of(allocation_events(step)).peak_bytes
    seconds: dict[str, list[float]] = {name: [] for name in repeats}
    for _ in range(rounds):
        for name, repeat in repeats.items():
            seconds[name].append(seconds_of(steps[name], repeat))
    return {
        name: Taken(reason=reasons[name]) if name in reasons else Taken(seconds[name], peaks[name])
        for name in steps
    }


def seconds_of(step: Step, repeats: int = 1) -> float:
    """Seconds that a step takes, the mean of some in a row."""
    begin = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - begin) / repeats


def table_head(subject: str, references: Sequence[str]) -> str:
    """The head of a Markdown table whose rows ``table_rows`` makes."""
    heads = [subject, "", "ms a step", "step peak MiB"]
    for reference in references:
        heads += [f"time / {reference}", f"step peak / {reference}"]
    return f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}"


def table_rows(
    subject: str, taken: Mapping[str, Taken], references: Sequence[str]
) -> Iterator[str]:
    """The rows of a Markdown table: each step, and its ratios to some of them."""
    for name, mine in taken.items():
        cells = [subject, name, f"unsupported: {mine.reason}", ""]
        if mine.seconds:
            cells[2] = spread([1e3 * seconds for seconds in mine.seconds], 1)
            cells[3] = f"{mine.peak_bytes / 2**20:.1f}"
        for reference in references:
            cells += _ratios(mine, taken.get(reference, Taken()))
        yield f"| {' | '.join(cells)} |"


def _ratios(mine: Taken, reference: Taken) -> list[str]:
    if not mine.seconds or not reference.seconds:
        return ["", ""]
    times = [a / b for a, b in zip(mine.seconds, reference.seconds, strict=True)]
    return [spread(times, 3), f"{mine.peak_bytes / reference.peak_bytes:.4f}"]


def spread(values: Sequence[float], digits: int) -> str:
    """Median and range."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
