"""The schedule: all parts one after the other within one span of time, whatever becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.gpu.part import Ending, Part, PartResult, State

Runner = Callable[[Part, float], Ending]
"""Runs a part for at most so many seconds."""


def allotment(remaining: float, own: float, later: float) -> float:
    """Seconds that a part may take.

    What the later parts are promised is kept for them, and what earlier parts left over is this
    one's. Where the promises exceed what remains, all shrink alike.

    Args:
        remaining: seconds until the end.
        own: what this part is promised.
        later: what all later parts together are promised.
    """
    if remaining <= 0:
        return 0.0
    if own + later <= remaining:
        return remaining - later
    return remaining * own / (own + later)


def run_parts(
    parts: Sequence[Part],
    budget_s: float,
    runner: Runner,
    clock: Callable[[], float],
    announce: Callable[[str], None],
) -> list[PartResult]:
    """Run every part that there is time for.

    Args:
        parts: in their order.
        budget_s: wall time for all of them, in seconds.
        runner: runs one.
        clock: seconds from anywhere.
        announce: is told what begins and how it ended.
    """
    end = clock() + budget_s
    results: dict[str, PartResult] = {}
    for place, part in enumerate(parts):
        later = sum(each.seconds for each in parts[place + 1 :])
        limit = allotment(end - clock(), part.seconds, later)
        reason = _reason_not_to_run(part, limit, results)
        if reason:
            results[part.name] = PartResult(part, State.NOT_RUN, remark=reason)
        else:
            announce(f"{part.name}: {part.purpose} (up to {limit:.0f} s)")
            results[part.name] = _run(part, limit, runner, clock)
        result = results[part.name]
        announce(f"  {result.state}, {result.seconds:.0f} s{_after_colon(result.remark)}")
    return list(results.values())


def _run(part: Part, limit: float, runner: Runner, clock: Callable[[], float]) -> PartResult:
    begun = clock()
    try:
        ending = runner(part, limit)
    except OSError as error:  # one part that cannot be started must not take the others with it
        return PartResult(part, State.FAILED, clock() - begun, f"could not be started: {error}")
    seconds = clock() - begun
    if ending.code is None:
        return PartResult(part, State.STOPPED, seconds, f"its {limit:.0f} s were up")
    if ending.code in part.good_codes:
        return PartResult(part, State.DONE, seconds)
    return PartResult(
        part, State.FAILED, seconds, f"exit code {ending.code}{_after_colon(ending.remark)}"
    )


def _reason_not_to_run(part: Part, limit: float, results: dict[str, PartResult]) -> str:
    """Why a part is not begun; empty if it is."""
    for name in part.needs:
        if name not in results or results[name].state in (State.FAILED, State.NOT_RUN):
            return f"it needs {name}"
    if limit < part.least_seconds:
        return f"{max(0.0, limit):.0f} s were left for it, and it needs {part.least_seconds:.0f}"
    return ""


def _after_colon(text: str) -> str:
    return f": {text}" if text else ""
