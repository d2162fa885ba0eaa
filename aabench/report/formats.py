"""The formats of results: a table for people, and CSV, JSON and Markdown for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from aabench.errors import UnknownName
from aabench.report.records import write_csv, write_json

if TYPE_CHECKING:
    import pandas as pd


def write(
    frame: pd.DataFrame, format_name: str, stream: IO[str], *, width: int | None = None
) -> None:
    """Write results to a text stream.

    Args:
        frame: rows with the columns of the results schema; other columns are kept and come last.
        format_name: ``table`` (for people), ``csv`` (schema order, plain units, full precision,
            empty where there is no value), ``json`` (a list of records, ``null`` where there is no
            value) or ``md`` (what the terminal shows, of all rows, as Markdown tables).
        stream: where to; UTF-8, except that a table makes do with less.
        width: of the table, in terminal cells; by default the terminal's.

    Raises:
        UnknownName: no such format.
    """
    if format_name not in _WRITERS:
        raise UnknownName("format", format_name, FORMATS)
    _WRITERS[format_name](frame, stream, width)


def _write_table(frame: pd.DataFrame, stream: IO[str], width: int | None) -> None:
    from aabench.report.results_table import results_table
    from aabench.report.terminal import print_to

    print_to(stream, lambda cells: results_table(frame, width=cells), width=width)


def _write_csv(frame: pd.DataFrame, stream: IO[str], width: int | None) -> None:
    from aabench.report.tidy_frame import tidy

    write_csv(tidy(frame), stream)


def _write_json(frame: pd.DataFrame, stream: IO[str], width: int | None) -> None:
    from aabench.report.tidy_frame import tidy

    write_json(tidy(frame), stream)


def _write_markdown(frame: pd.DataFrame, stream: IO[str], width: int | None) -> None:
    from aabench.report.markdown_report import write_markdown_report
    from aabench.report.printed_report import printed_report

    write_markdown_report(printed_report(frame), stream)


_WRITERS: dict[str, Callable[[pd.DataFrame, IO[str], int | None], None]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "md": _write_markdown,
}

FORMATS: tuple[str, ...] = tuple(_WRITERS)
"""The names of all formats."""
