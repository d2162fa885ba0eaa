"""The tidy frame: results in schema order with exact types, ready for machines to read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aabench.cases.columns import COLUMN_NAMES, COLUMNS
from aabench.report.side_by_side import RUN

if TYPE_CHECKING:
    import pandas as pd

_UNITS_OF_COUNTS = frozenset({"bytes", "channels", "pixels", "images", "MAC", "FLOP"})
_COUNTS_WITHOUT_UNIT = frozenset(
    {
        "downsample",
        "heads",
        "params",
        "allocator_retries",
        "samples",
        "calls_per_sample",
        "outliers",
        "rounds",
    }
)
WHOLE_NUMBERS = _COUNTS_WITHOUT_UNIT | {
    column.name for column in COLUMNS if column.unit in _UNITS_OF_COUNTS
}
"""The columns that hold whole numbers, also where some rows have none."""

_LARGEST_EXACT = 2**53
"""Whole numbers up to here survive being stored as floats."""

_BREAKS = re.compile(r"\r\n?|\n")


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame in schema order, the run before and other columns last; whole numbers nullable.

    Text loses carriage returns and NUL, which no CSV reader agrees on; no value changes otherwise.
    """
    known = (RUN, *COLUMN_NAMES)
    ordered = [name for name in known if name in frame.columns]
    others = [name for name in frame.columns if name not in known]
    tidied = frame[ordered + others].copy()
    for name in tidied.columns:
        if name in WHOLE_NUMBERS:
            tidied[name] = _whole(tidied[name])
        elif tidied[name].dtype.kind not in "iufb":
            tidied[name] = tidied[name].map(_plain_text, na_action="ignore")
    return tidied


def json_values(column: pd.Series[Any]) -> list[Any]:
    """A column as plain Python values; no value, no text, NaN and infinity are ``None``."""
    present = column.notna()
    if column.dtype.kind == "f":
        present &= column.abs() != float("inf")
    pairs = zip(column.astype(object).tolist(), present.tolist(), strict=True)
    return [_plain_value(value) if there and value != "" else None for value, there in pairs]


def _whole(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of whole numbers as nullable integers; left alone if it holds anything else."""
    if column.dtype.kind == "f":
        present = column.dropna()
        exact = (present % 1 == 0) & (present.abs() <= _LARGEST_EXACT)
        return column.astype("Int64") if bool(exact.all()) else column
    if column.dtype.kind != "O":
        return column
    if not all(type(value) is int for value in column.dropna()):
        return column
    try:
        return column.astype("Int64")
    except OverflowError:  # Python's own integers hold what 64 bits cannot
        return column


def _plain_text(value: Any) -> Any:
    return _BREAKS.sub("\n", value).replace("\0", "") if isinstance(value, str) else value


def _plain_value(value: Any) -> Any:
    if hasattr(value, "item"):  # a scalar of numpy
        value = value.item()
    return value if isinstance(value, str | int | float | bool) else str(value)
