"""Aligned text: columns, remarks in place of figures, what has to make way, and harmless text."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from aabench.report.aligned_text import (
    AlignedTable,
    TextColumn,
    cut,
    fitted,
    one_line,
    prose,
    total_width,
    wrapped,
)


def rendered(part: RenderableType, *, terminal: bool = False, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    with console.capture() as capture:
        console.print(part)
    return capture.get()


NAMES = TextColumn("name", "name", ["a", "longer"])
NUMBERS = TextColumn("number", "number", ["1.5", "200"], right=True, group="both")
OTHERS = TextColumn("other", "x", ["7", "8"], right=True, group="both")


def test_words_stand_left_and_numbers_right_under_a_ruled_head() -> None:
    table = AlignedTable([NAMES, NUMBERS, OTHERS], 80)
    assert rendered(table).splitlines() == [
        "        - both --",
        "name    number  x",
        "-----------------",
        "a          1.5  7",
        "longer     200  8",
    ]


def test_a_terminal_has_a_drawn_rule_and_a_pipe_has_not() -> None:
    table = AlignedTable([NAMES], 80)
    assert "─" in rendered(table, terminal=True)
    assert rendered(table).isascii()


def test_a_remark_takes_the_place_of_the_figures() -> None:
    table = AlignedTable([NAMES, NUMBERS], 30, remarks={1: "out of memory " * 5}, remark_from=1)
    last = rendered(table).splitlines()[-1]
    assert last.startswith("longer  out of memory out of")
    assert last.endswith("…") and cell_len(last) <= 30


def test_titles_stand_above_rows_that_are_indented() -> None:
    table = AlignedTable([NUMBERS], 30, titles=["the first", "the second"])
    lines = [line for line in rendered(table).splitlines() if "both" not in line]
    assert lines == ["  number", "--------", "the first", "     1.5", "the second", "     200"]


def test_a_table_of_titles_alone() -> None:
    assert rendered(AlignedTable([], 30, titles=["one", "two"])) == "one\ntwo\n"


def test_expendable_columns_make_way_in_their_order() -> None:
    columns = [NAMES, NUMBERS, OTHERS]
    kept, dropped = fitted(columns, 100, ["other", "number"])
    assert kept == columns and not dropped
    kept, dropped = fitted(columns, 15, ["other", "number"])
    assert [column.name for column in kept] == ["name", "number"]
    assert [column.name for column in dropped] == ["other"]


def test_what_cannot_be_spared_moves_closer_together() -> None:
    kept, _ = fitted([NAMES, NUMBERS], 13, [])
    assert total_width(kept) == 13


def test_wide_letters_count_as_two_cells() -> None:
    table = AlignedTable([TextColumn("a", "a", ["畳み込み", "b"]), NUMBERS], 80)
    lines = rendered(table).splitlines()[3:]
    assert {cell_len(line) for line in lines} == {8 + 2 + 6}


@pytest.mark.parametrize(
    ("foreign", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("two\r\nlines\tand\x00\x07 more", "two lines and more"),
        ("\x1b]0;title\x07text", "text"),
        ("[bold]kept[/bold]", "[bold]kept[/bold]"),
    ],
)
def test_foreign_text_does_nothing_to_a_terminal(foreign: str, harmless: str) -> None:
    assert one_line(foreign) == harmless


def test_text_is_cut_with_an_ellipsis() -> None:
    assert cut("short", 5) == "short"
    assert cut("3 heads, of which", 9) == "3 heads…"


def test_prose_hangs_under_its_first_word_and_keeps_paths_whole() -> None:
    path = "results/" + "x" * 40
    lines = [line.plain for line in prose(f"it is in {path} now", 30, lead="12 rows: ")]
    assert lines == ["12 rows: it is in", f"         {path}", "         now"]


def test_pieces_are_wrapped_between_them() -> None:
    lines = [line.plain for line in wrapped([Text("12 ok"), Text("3 oom"), Text("1 wrong")], 14)]
    assert lines == ["12 ok, 3 oom,", "1 wrong"]
