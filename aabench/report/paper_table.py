"""The papers' tables as people read them: printed figures, ours, the difference, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import IO, Protocol

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.report.aligned_text import AlignedTable, TextColumn, fitted, prose, unwrapped
from aabench.report.markdown_text import markdown_row
from aabench.report.quantities import EMPTY, significant
from aabench.report.terminal import print_to

VERDICTS = {
    "as printed": "green",
    "near": "yellow",
    "not reproduced": "red",
    "not printed": "dim",
}
"""The verdicts, best first, each with its rich style."""

EXPENDABLE = ("verdict", "trained on")
"""Columns that a narrow terminal goes without; the notes name what is not reproduced."""

LEGEND = (
    "GFLOP: one image forward, 2 a multiply-accumulate of convolutions and matrix products. "
    "off: ours less the paper's. as printed: both sizes are the paper's to its last digit; "
    "near: within 5 % of its GFLOP and 1 % of its parameters; not reproduced: further off."
)


class PaperFigure(Protocol):
    """A printed figure and ours."""

    @property
    def printed(self) -> str:
        """The text in the paper; empty if there is none."""

    @property
    def ours(self) -> float:
        """Ours, in the same unit."""

    @property
    def decimals(self) -> int:
        """Decimals of the printed text."""

    @property
    def difference(self) -> float | None:
        """Ours less the printed one."""


class PaperRow(Protocol):
    """What is shown of a row; ``aabench.published.comparison`` has it."""

    @property
    def title(self) -> str:
        """Its table; rows of a table stand together."""

    @property
    def network(self) -> str:
        """Our network."""

    @property
    def trained_on(self) -> str:
        """Data set and size of the images."""

    @property
    def gflops(self) -> PaperFigure:
        """Giga floating-point operations."""

    @property
    def params_m(self) -> PaperFigure:
        """Millions of parameters."""

    @property
    def accuracy(self) -> str:
        """As printed, in percent."""

    @property
    def accuracy_name(self) -> str:
        """The measure of the accuracy."""

    @property
    def verdict(self) -> str:
        """One of ``VERDICTS``."""

    @property
    def remarks(self) -> Sequence[str]:
        """Sentences on what we chose and why the figures differ."""

    @property
    def provenance(self) -> str:
        """How the printed figures are known."""


def write_paper_tables(rows: Sequence[PaperRow], stream: IO[str]) -> None:
    """Write tables to a text stream, as wide as the stream is."""
    print_to(stream, lambda width: paper_tables(rows, width=width))


def paper_tables(rows: Sequence[PaperRow], *, width: int) -> RenderableType:
    """Render printed rows by table, each with its notes, and last how many come out.

    Args:
        rows: those of one table stand together.
        width: terminal cells per line.
    """
    parts: list[RenderableType] = []
    for title, members in groupby(rows, lambda row: row.title):
        parts += _table(title, list(members), width)
    return Group(*parts, *prose(_summary(rows), width, style="bold"), *prose(LEGEND, width))


def write_paper_markdown(rows: Sequence[PaperRow], stream: IO[str]) -> None:
    """Write tables as Markdown, each under a heading and above its notes."""
    for title, members in groupby(rows, lambda row: row.title):
        table = list(members)
        notes = _notes(table)
        columns = _columns(table, notes)
        stream.write(f"### {title}\n\n")
        stream.write(markdown_row([f"{each.group} {each.head}".strip() for each in columns]))
        stream.write(markdown_row(["--:" if each.right else ":--" for each in columns]))
        for cells in zip(*(each.cells for each in columns), strict=True):
            stream.write(markdown_row(cells))
        stream.write("\n")
        for text, number in notes.items():
            stream.write(f"{number}. {text}\n")
        stream.write("\n" if notes else "")
        stream.write("".join(f"{sentence}\n\n" for sentence in _provenances(table)))
    stream.write(f"{_summary(rows)}\n\n{LEGEND}\n")


def _table(title: str, rows: Sequence[PaperRow], width: int) -> Iterator[RenderableType]:
    """One table: title, rows, notes, and where the printed figures are from."""
    notes = _notes(rows)
    columns, dropped = fitted(_columns(rows, notes), width, EXPENDABLE)
    yield from prose(title, width, style="bold")
    if any(column.name == "trained on" for column in dropped):
        yield from prose(", ".join(dict.fromkeys(row.trained_on for row in rows)), width)
    yield AlignedTable(columns, width)
    widest = len(str(len(notes)))
    for text, number in notes.items():
        yield from prose(text, width, lead=f"  {number:>{widest}}  ")
    for sentence in _provenances(rows):
        yield from prose(sentence, width, style="dim")
    yield unwrapped(Text())


def _notes(rows: Sequence[PaperRow]) -> dict[str, int]:
    """The distinct remarks, numbered as they come."""
    texts = dict.fromkeys(text for row in rows for text in row.remarks)
    return {text: number for number, text in enumerate(texts, 1)}


def _columns(rows: Sequence[PaperRow], notes: dict[str, int]) -> list[TextColumn]:
    """All columns, each with a text for every row."""
    measure = " or ".join(dict.fromkeys(row.accuracy_name for row in rows))
    styles = [VERDICTS[row.verdict] for row in rows]
    accuracies = [row.accuracy or EMPTY for row in rows]
    marks = [",".join(str(notes[text]) for text in row.remarks) for row in rows]
    columns = [
        TextColumn("network", "network", [row.network for row in rows]),
        TextColumn("trained on", "images", [row.trained_on for row in rows]),
        *_figure_columns("GFLOP", [row.gflops for row in rows], styles),
        *_figure_columns("params, M", [row.params_m for row in rows], styles),
        TextColumn("accuracy", f"{measure} %", accuracies, right=True),
        TextColumn("verdict", "verdict", [str(row.verdict) for row in rows], styles=styles),
        TextColumn("note", "note", marks),
    ]
    needed = {"accuracy": any(row.accuracy for row in rows), "note": bool(notes)}
    return [column for column in columns if needed.get(column.name, True)]


def _figure_columns(
    group: str, figures: Sequence[PaperFigure], styles: Sequence[str]
) -> list[TextColumn]:
    """The paper's, ours to one digit more, and the difference to the same digit."""
    printed = [figure.printed or EMPTY for figure in figures]
    ours = [
        f"{figure.ours:.{figure.decimals + 1}f}" if figure.printed else significant(figure.ours, 4)
        for figure in figures
    ]
    columns = [
        TextColumn(f"{group} printed", "paper", printed, right=True, group=group),
        TextColumn(f"{group} ours", "ours", ours, right=True, group=group),
    ]
    if any(figure.printed for figure in figures):
        off = [_difference(figure) for figure in figures]
        columns.append(
            TextColumn(f"{group} off", "off", off, right=True, group=group, styles=styles)
        )
    return columns


def _difference(figure: PaperFigure) -> str:
    if figure.difference is None:
        return EMPTY
    digits = figure.decimals + 1
    return f"{round(figure.difference, digits) + 0.0:+.{digits}f}"  # + 0.0: no "-0.00"


def _provenances(rows: Sequence[PaperRow]) -> Iterator[str]:
    """How the printed figures are known, with the rows that it is said of if it is not all."""
    by_provenance: dict[str, list[str]] = {}
    for row in rows:
        by_provenance.setdefault(row.provenance, []).append(row.network)
    for provenance, networks in by_provenance.items():
        of = "" if len(by_provenance) == 1 else f" of {', '.join(networks)}"
        yield f"Printed figures{of}: {provenance}."


def _summary(rows: Sequence[PaperRow]) -> str:
    count = Counter(str(row.verdict) for row in rows)
    told = [f"{count[verdict]} {verdict}" for verdict in VERDICTS if count[verdict]]
    return f"{len(rows)} rows: {', '.join(told)}."
