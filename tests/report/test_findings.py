"""Findings as text: every level, at the widths of terminals and pipes."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from rich.cells import cell_len

from aabench.report.findings import LEVELS, finding_list, write_findings
from aabench.report.terminal import print_to


@dataclass(frozen=True)
class Seen:
    area: str
    level: str
    text: str
    remedy: str = ""


CPU = Seen("devices", "ok", "cpu: Imaginary 9000, 16 of 16 cores usable, 16 threads")
CARD = Seen("devices", "note", "no CUDA device", "`aabench sweep` takes one by itself")
LOAD = Seen("disturbances", "warning", "load 3.1 on 16 cores " + "and more " * 12, "end it " * 15)
FOLDER = Seen("results", "blocks", "the folder results cannot be written", "give another")


def rendered(*findings: Seen, width: int = 80) -> list[str]:
    stream = io.StringIO()
    print_to(stream, lambda cells: finding_list(findings, width=cells), width=width)
    return stream.getvalue().splitlines()


def test_areas_are_headings_and_remedies_stand_below_their_finding() -> None:
    assert rendered(CPU, CARD, FOLDER) == [
        "Devices",
        "  ok       cpu: Imaginary 9000, 16 of 16 cores usable, 16 threads",
        "  note     no CUDA device",
        "           → `aabench sweep` takes one by itself",
        "",
        "Results",
        "  blocks   the folder results cannot be written",
        "           → give another",
        "",
        "This machine cannot measure: 1 finding blocks it, 1 note.",
    ]


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ((CPU,), "This machine can measure: nothing disturbs it."),
        ((CPU, CARD, CARD), "This machine can measure: 2 notes."),
        ((LOAD, LOAD, CARD), "This machine can measure: 2 warnings, 1 note."),
        ((FOLDER, FOLDER, LOAD), "This machine cannot measure: 2 findings block it, 1 warning."),
    ],
)
def test_the_last_line_is_the_verdict(findings: tuple[Seen, ...], verdict: str) -> None:
    assert rendered(*findings)[-1] == verdict


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width: int) -> None:
    lines = rendered(CPU, LOAD, width=width)
    assert max(map(cell_len, lines)) <= width
    flat = " ".join(" ".join(lines).split())
    assert LOAD.text.strip() in flat
    assert LOAD.remedy.strip() in flat


def test_every_level_has_room_and_a_style() -> None:
    starts = {line.index("x") for level in LEVELS for line in rendered(Seen("a", level, "x"))[1:2]}
    assert len(starts) == 1
    assert all(LEVELS.values())


def test_foreign_text_cannot_colour_the_terminal() -> None:
    nasty = Seen("devices", "warning", "the driver said \x1b[31mred\x1b[0m\nand more")
    assert "the driver said red and more" in " ".join(rendered(nasty))


def test_a_stream_that_lacks_the_arrow_gets_another() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    write_findings([CARD], stream)
    stream.flush()
    assert b"           > `aabench sweep`" in stream.buffer.getvalue()  # type: ignore[attr-defined]
