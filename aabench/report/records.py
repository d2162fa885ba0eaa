"""Records: any table as CSV, JSON or Markdown, with plain units and full precision, for programs to read."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

from aabench.report.markdown_text import markdown_row

if TYPE_CHECKING:
    import pandas as pd


def write_csv(frame: pd.DataFrame, stream: IO[str]) -> None:
    """Write a head and one line a row; empty where there is no value."""
    frame.to_csv(stream, index=False, lineterminator="\n")


def write_markdown(frame: pd.DataFrame, stream: IO[str]) -> None:
    """Write a table of every column; empty where there is no value."""
    values = frame.astype(object).where(frame.notna(), None).to_numpy()
    stream.write(markdown_row([str(name) for name in frame.columns]))
    stream.write(markdown_row(["---"] * len(frame.columns)))
    for cells in values:
        stream.write(markdown_row(["" if cell is None else str(cell) for cell in cells]))


def write_json(frame: pd.DataFrame, stream: IO[str]) -> None:
    """Write a list of records, ``null`` where there is no value.

    One record per line, so that the file can be searched by line as well as loaded whole.
    """
    from aabench.report.tidy_frame import json_values

    names = [str(name) for name in frame.columns]
    columns = [json_values(frame[name]) for name in frame.columns]
    separator = "[\n"
    for values in zip(*columns, strict=True):
        record = dict(zip(names, values, strict=True))
        stream.write(separator + json.dumps(record, ensure_ascii=False, allow_nan=False))
        separator = ",\n"
    stream.write("\n]\n" if len(frame) else "[]\n")
