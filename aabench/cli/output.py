"""Standard output: a table for people, or one of the formats that programs read."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class OutputFormat(StrEnum):
    """What ``--format`` takes."""

    table = "table"
    csv = "csv"
    json = "json"
    md = "md"


def show_results(frame: pd.DataFrame, format: OutputFormat) -> None:
    """Write a results table to standard output."""
    from aabench.report.formats import write

    prepare_stdout(format)
    write(frame, format.value, sys.stdout)


def prepare_stdout(format: OutputFormat) -> None:
    """What programs read is UTF-8, whatever the terminal is."""
    if format is not OutputFormat.table and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
