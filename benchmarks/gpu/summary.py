"""The summary: what was proven and what was not, the tables, and where the time went, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.gpu.claims import Answer, Claim
from benchmarks.gpu.measured import Measured
from benchmarks.gpu.tables import (
    markdown_table,
    network_table,
    peak_table,
    speed_table,
    time_table,
)

REHEARSED = (
    "**A rehearsal on the CPU, with tiny cases: it shows that the script runs, nothing of a card.**"
)


def summary(
    measured: Measured, found: Sequence[Claim], machine: dict[str, Any], command: str
) -> str:
    """The whole summary.

    Args:
        measured: what all parts left.
        found: the claims.
        machine: what ``benchmarks.gpu.machine`` found.
        command: what was typed.
    """
    return "\n".join(_lines(measured, found, machine, command)) + "\n"


def headline(found: Sequence[Claim]) -> str:
    """How many claims came to what."""
    counts = {answer: sum(claim.answer is answer for claim in found) for answer in Answer}
    return ", ".join(f"{count} {answer}" for answer, count in counts.items())


def _lines(
    measured: Measured, found: Sequence[Claim], machine: dict[str, Any], command: str
) -> Iterator[str]:
    yield f"# {machine['name']}, {machine['date']}"
    yield ""
    if machine["rehearsal"]:
        yield REHEARSED
        yield ""
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items() if value)
    yield f"Made by `{command}`. {versions}. All figures are measured unless they say predicted."
    yield ""
    yield f"## What was proven: {headline(found)}"
    yield ""
    rows = [[claim.text, claim.answer.value, claim.figures] for claim in found]
    yield from markdown_table(["claim", "answer", "figures"], rows)
    for title, note, table in (
        ("Whole networks", "time and peak: beside the plain network.", network_table(measured)),
        ("The forms against each other", SPEED_NOTE, speed_table(measured)),
        ("Predicted peaks", "errors are |predicted / measured - 1|.", peak_table(measured)),
        ("Where the time went", "", time_table(measured.results)),
    ):
        yield from ("", f"## {title}", "")
        if note:
            yield from (note, "")
        yield from table
    if measured.problems:
        yield from ("", "## What could not be read", "")
        yield from (f"- {problem}" for problem in measured.problems)


SPEED_NOTE = (
    "ms: one step of a whole layer, 256 channels. Plain SDPA: the same layer without positions, by "
    "torch's stock attention; below 1x a form with positions is quicker than that."
)
