"""The record of our figures: what moves is named, and writing it anew makes it whole."""

from dataclasses import replace

import pytest

from aabench.errors import RunError
from aabench.published.comparison import compare
from aabench.published.printed import printed_rows
from aabench.published.record import (
    Moved,
    moved_figures,
    moved_frame,
    read_record,
    write_record,
)

TABLES = ["aa-1"]


@pytest.fixture(scope="module")
def comparisons():
    return list(compare(TABLES))


def test_the_record_holds_every_row():
    assert set(read_record()) == {(row.table_name, row.name) for row in printed_rows()}


def test_nothing_has_moved(comparisons):
    assert moved_figures(comparisons, read_record(), TABLES) == []
    assert len(moved_frame([])) == 0


def test_a_figure_that_moved_is_named(comparisons):
    first = comparisons[0]
    other = replace(first, count=replace(first.count, flops=first.count.flops + 2))
    moved = moved_figures([other, *comparisons[1:]], read_record(), TABLES)
    assert moved == [Moved("aa-1", "wrn28-10", "flops", first.count.flops, first.count.flops + 2)]
    assert moved_frame(moved).iloc[0]["got"] == first.count.flops + 2


def test_rows_that_only_one_side_has_are_named(comparisons):
    record = dict(read_record())
    del record["aa-1", "wrn28-10"]
    new = moved_figures(comparisons, record, TABLES)
    assert [(each.printed_as, each.recorded) for each in new] == [("wrn28-10", None)] * 2
    gone = moved_figures(comparisons[1:], read_record(), TABLES)
    assert [(each.printed_as, each.got) for each in gone] == [("wrn28-10", None)] * 2


def test_without_tables_all_recorded_rows_are_looked_for(comparisons):
    missing = moved_figures(comparisons, read_record())
    assert len(missing) == 2 * (len(printed_rows()) - len(comparisons))


def test_what_is_written_is_read(comparisons, tmp_path):
    path = tmp_path / "recorded.csv"
    assert write_record(comparisons, path) == len(comparisons)
    assert moved_figures(comparisons, read_record(path), TABLES) == []


@pytest.mark.parametrize("text", [None, "table,printed_as\naa-1,x\n", "table,params\naa-1,many\n"])
def test_a_record_that_cannot_be_read_says_how_to_write_it(text, tmp_path):
    path = tmp_path / "recorded.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunError, match="python -m aabench.published.record writes it anew"):
        read_record(path)
