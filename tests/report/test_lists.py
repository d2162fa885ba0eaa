"""Lists of names: aligned where there is room, one below the other where there is not."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from aabench.cases.columns import COLUMNS
from aabench.report.lists import name_list, write_list
from aabench.report.terminal import print_to

HEAD = ["column", "unit", "group", "meaning"]
ROWS = [(column.name, column.unit, column.group, column.meaning) for column in COLUMNS]


def rendered(width: int) -> list[str]:
    stream = io.StringIO()
    print_to(stream, lambda cells: name_list(HEAD, ROWS, width=cells), width=width)
    return stream.getvalue().splitlines()


def test_a_wide_terminal_has_aligned_columns() -> None:
    lines = rendered(100)
    start = lines[0].index("meaning")
    assert lines[0].startswith("column  ")
    for row in ROWS:
        line = next(line for line in lines if line.startswith(row[0] + " "))
        assert line[start - 1] == " " and line[start:].startswith(row[3][:8])


def test_a_narrow_terminal_has_the_meaning_below_the_name() -> None:
    lines = rendered(60)
    at = lines.index("latency_median_s  s  latency")
    assert lines[at + 1].startswith("    median time of one warm step")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(cell_len, rendered(width))) <= width


def test_an_empty_list_has_a_head() -> None:
    stream = io.StringIO()
    write_list(["attention", "summary"], [], stream)
    assert stream.getvalue() == "attention  summary\n"
