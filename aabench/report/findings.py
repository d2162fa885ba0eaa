"""Findings as people read them: by area, each with its level, its text and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import IO, Protocol

from rich.console import Group
from rich.text import Text

from aabench.report.aligned_text import prose, unwrapped
from aabench.report.terminal import print_to

LEVELS = {"blocks": "bold red", "warning": "yellow", "note": "cyan", "ok": "green"}
"""The levels, gravest first, each with its rich style."""

LEVEL_WIDTH = max(map(len, LEVELS))


class Finding(Protocol):
    """What is shown of a finding; ``aabench.measuring.machine.finding`` has it."""

    @property
    def area(self) -> str:
        """What it is about."""

    @property
    def level(self) -> str:
        """One of ``LEVELS``."""

    @property
    def text(self) -> str:
        """What was seen."""

    @property
    def remedy(self) -> str:
        """What to do about it; may be empty."""


def write_findings(findings: Sequence[Finding], stream: IO[str]) -> None:
    """Write findings and the verdict to a text stream, as wide as the stream is."""
    print_to(stream, lambda width: finding_list(findings, width=width))


def finding_list(findings: Sequence[Finding], *, width: int) -> Group:
    """Render findings by area, in the order in which they come, and last the verdict.

    Args:
        findings: those of one area stand together.
        width: terminal cells per line.
    """
    return Group(*_areas(findings, width), *_verdict(findings, width))


def _areas(findings: Sequence[Finding], width: int) -> Iterator[Text]:
    for area, members in groupby(findings, lambda finding: finding.area):
        yield unwrapped(Text(area.capitalize(), style="bold"))
        for finding in members:
            lead = f"  {finding.level:<{LEVEL_WIDTH}}  "
            yield from prose(finding.text, width, lead=lead, lead_style=LEVELS[finding.level])
            if finding.remedy:
                yield from prose(finding.remedy, width, lead=" " * len(lead) + "→ ", style="dim")
        yield Text()


def _verdict(findings: Sequence[Finding], width: int) -> Iterator[Text]:
    """One sentence: whether this machine can measure, and how much there is to read above."""
    count = {level: sum(item.level == level for item in findings) for level in LEVELS}
    told = [
        f"{number} {name if number == 1 else name + 's'}"
        for name, number in (("warning", count["warning"]), ("note", count["note"]))
        if number
    ]
    if count["blocks"]:
        blocks = f"{count['blocks']} finding{'s block' if count['blocks'] > 1 else ' blocks'} it"
        text, style = (
            f"This machine cannot measure: {', '.join([blocks, *told])}.",
            LEVELS["blocks"],
        )
    else:
        text = f"This machine can measure: {', '.join(told) or 'nothing disturbs it'}."
        style = LEVELS["warning" if count["warning"] else "ok"]
    yield from prose(text, width, style=style)
