"""The formats of results: a table for people, and CSV, JSON and Markdown for everything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from aabench.errors import UnknownName

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
            value) or ``md`` (what the terminal shows, of all rows, as a Markdown table).
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

    tidy(frame).to_csv(stream, index=False, lineterminator="\n")


def _write_json(frame: pd.DataFrame, stream: IO[str], width: int | None) -> None:
    """One record per line, so that the file can be searched by line as well as loaded whole."""
    from aabench.report.tidy_frame import json_values, tidy

    tidied = tidy(frame)
    names = [str(name) for name in tidied.columns]
    columns = [json_values(tidied[name]) for name in tidied.columns]
    separator = "[\n"
    for values in zip(*columns, strict=True):
        record = dict(zip(names, values, strict=True))
        stream.write(separator + json.dumps(record, ensure_ascii=False, allow_nan=False))
        separator = ",\n"
    stream.write("\n]\n" if len(tidied) else "[]\n")


def _write_markdown(frame: pd.DataFrame, stream: IO[str], width: int | None) -> None:
    from aabench.report.case_table import whole_table
    from aabench.report.results_table import shared_by_all

    caption = shared_by_all(frame)
    if caption:
        stream.write(f"All rows: {_escaped(caption)}\n\n")
    columns = whole_table(frame)
    if not columns:
        return
    stream.write(_markdown_row([f"{column.head} {column.group}" for column in columns]))
    stream.write(_markdown_row(["--:" if column.right else ":--" for column in columns]))
    for cells in zip(*(column.cells for column in columns), strict=True):
        stream.write(_markdown_row(cells))


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |\n"


def _escaped(text: str) -> str:
    """Text on one line that Markdown shows as it is within a cell."""
    plain = " ".join(text.split())
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


_WRITERS: dict[str, Callable[[pd.DataFrame, IO[str], int | None], None]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "md": _write_markdown,
}

FORMATS: tuple[str, ...] = tuple(_WRITERS)
"""The names of all formats."""
