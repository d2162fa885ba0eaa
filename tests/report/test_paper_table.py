"""The papers' tables as text: digits, differences, notes and what a narrow terminal leaves out."""

import io
from dataclasses import dataclass, field, replace

import pytest

from aabench.report.paper_table import paper_tables, write_paper_markdown
from aabench.report.terminal import print_to


@dataclass(frozen=True)
class Figure:
    printed: str
    ours: float

    @property
    def decimals(self):
        return len(self.printed.partition(".")[2])

    @property
    def difference(self):
        return self.ours - float(self.printed) if self.printed else None


@dataclass(frozen=True)
class Row:
    network: str
    gflops: Figure
    params_m: Figure
    verdict: str
    remarks: tuple[str, ...] = ()
    title: str = "paper-1: A Paper, table 1"
    trained_on: str = "ImageNet 224 px"
    accuracy: str = "76.40"
    accuracy_name: str = "top-1"
    provenance: str = field(default="read from the table")


SAME = Row("same", Figure("8.2", 8.2001), Figure("25.6", 25.557), "as printed", ("Chosen.",))
NEAR = Row("near", Figure("8", 8.43), Figure("25.8", 25.8), "near", ("Chosen.", "Reason."))
UNPRINTED = Row("own", Figure("", 0.14953), Figure("", 21.2898), "not printed", accuracy="")


def rendered(*rows, width=100):
    stream = io.StringIO()
    print_to(stream, lambda cells: paper_tables(rows, width=cells), width=width)
    return stream.getvalue().splitlines()


def test_ours_has_a_digit_more_than_the_paper():
    lines = rendered(SAME, NEAR, UNPRINTED)
    assert [" ".join(line.split()) for line in lines[4:7]] == [
        "same ImageNet 224 px 8.2 8.20 +0.00 25.6 25.56 -0.04 76.40 as printed 1",
        "near ImageNet 224 px 8 8.4 +0.4 25.8 25.80 +0.00 76.40 near 1,2",
        "own ImageNet 224 px – 0.1495 – – 21.29 – – not printed",
    ]


def test_notes_stand_once_and_in_order():
    lines = rendered(SAME, NEAR)
    assert lines.count("  1  Chosen.") == lines.count("  2  Reason.") == 1
    assert "Printed figures: read from the table." in lines


def test_provenances_name_their_rows_where_they_differ():
    other = replace(NEAR, provenance="recalled")
    lines = rendered(SAME, other)
    assert "Printed figures of same: read from the table." in lines
    assert "Printed figures of near: recalled." in lines


def test_a_narrow_terminal_says_the_images_once_above():
    lines = rendered(SAME, NEAR, width=60)
    assert lines[1] == "ImageNet 224 px"
    assert not any("as printed" in line for line in lines[2:6])


def test_tables_are_apart_and_all_rows_are_summed_up():
    text = "\n".join(rendered(SAME, replace(UNPRINTED, title="paper-2: Another")))
    assert "\n\npaper-2: Another\n" in text
    assert "2 rows: 1 as printed, 1 not printed." in text
    without_figures = text.partition("paper-2")[2]
    assert "off  " not in without_figures.splitlines()[2] and "top-1" not in without_figures


@pytest.mark.parametrize("rows", [[SAME], [SAME, NEAR, UNPRINTED]])
def test_markdown_has_a_cell_for_every_head(rows):
    stream = io.StringIO()
    write_paper_markdown(rows, stream)
    table = [line for line in stream.getvalue().splitlines() if line.startswith("|")]
    assert len(table) == len(rows) + 2
    assert len({line.count("|") for line in table}) == 1
