"""The case table: one row per case, as many of its columns as a terminal has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aabench.report.aligned_text import (
    TITLE_INDENT,
    AlignedTable,
    TextColumn,
    cut,
    fitted,
    total_width,
)
from aabench.report.axis_text import axis_column, case_phrase
from aabench.report.digest import RATIO_OF
from aabench.report.figure_columns import COMPARISON, figure_columns
from aabench.report.remarks import MOST_CHARACTERS
from aabench.report.results import Results
from aabench.report.statuses import MEASURED, status_style

if TYPE_CHECKING:
    import pandas as pd

EXPENDABLE = (
    "params",
    f"FLOPs {COMPARISON}",
    "FLOPs",
    "spread of time",
    f"time {COMPARISON}",
    f"memory {COMPARISON}",
)
"""Columns that a narrow terminal goes without, the least important first."""


def case_table(results: Results) -> tuple[AlignedTable, list[TextColumn]]:
    """The rows as a table that fits, and the columns that it had to leave out."""
    frame, status, width = results.frame, results.status, results.width
    axes = _calm([axis_column(frame, axis) for axis in results.swept])
    outcome, measured = _status_column(results), figure_columns(frame)
    kept, dropped = fitted([*axes, *outcome, *measured], width, _expendable(axes))
    before = {column.name for column in (*axes, *outcome)}
    leading = sum(column.name in before for column in kept)
    titles: list[str] = []
    if total_width(kept) > width:
        titles = [case_phrase(frame, row, results.swept) for row in range(len(frame))]
        kept, dropped = fitted([*outcome, *measured], width - TITLE_INDENT, EXPENDABLE)
        leading = len(outcome)
    remarks = _row_remarks(frame, status)
    return AlignedTable(kept, width, remarks, remark_from=leading, titles=titles), dropped


def whole_table(frame: pd.DataFrame) -> list[TextColumn]:
    """All rows of a sweep as columns of text, for formats whose lines may be long."""
    results = Results.of(frame, width=0)
    columns = [axis_column(results.frame, axis) for axis in results.swept]
    columns += _status_column(results)
    columns += _with_spread_beside(figure_columns(results.frame))
    given = _row_remarks(results.frame, results.status)
    if given:
        texts = [cut(given.get(row, ""), MOST_CHARACTERS) for row in range(len(results.frame))]
        columns.append(TextColumn("reason", "reason", texts))
    return columns


def _with_spread_beside(columns: Sequence[TextColumn]) -> list[TextColumn]:
    """The time and its spread as one column."""
    spread = next((column for column in columns if column.name == "spread of time"), None)
    if spread is None:
        return list(columns)
    return [
        replace(
            column,
            cells=[f"{a} {b}".rstrip() for a, b in zip(column.cells, spread.cells, strict=True)],
        )
        if column.name == "time"
        else column
        for column in columns
        if column is not spread
    ]


def _expendable(axes: Sequence[TextColumn]) -> list[str]:
    """What can be spared, given the axes: first of all a ratio that stands beside its depth."""
    names = {column.name for column in axes}
    ratios = [ratio for depth, ratio in RATIO_OF.items() if {depth, ratio} <= names]
    return [*ratios, *EXPENDABLE]


def _status_column(results: Results) -> list[TextColumn]:
    """The status of each row, unless the title has said that it is one for the whole run."""
    if not results.has_mixed_status:
        return []
    cells = [str(name) for name in results.status]
    return [TextColumn("status", "status", cells, styles=[status_style(name) for name in cells])]


def _calm(axes: Sequence[TextColumn]) -> list[TextColumn]:
    """Dim what repeats the row above, so that the eye finds where something changes."""
    columns = []
    same: list[bool] | None = None
    for column in axes:
        cells = column.cells
        repeats = [row > 0 and cells[row] == cells[row - 1] for row in range(len(cells))]
        same = repeats if same is None else [a and b for a, b in zip(same, repeats, strict=True)]
        columns.append(replace(column, styles=["dim" if dim else "" for dim in same]))
    return columns


def _row_remarks(frame: pd.DataFrame, status: pd.Series[str]) -> dict[int, str]:
    """The reasons of the rows that have no figures, to stand in their place."""
    if "reason" not in frame.columns:
        return {}
    failed = frame["reason"][~status.isin(MEASURED)].dropna()
    return {int(str(row)): str(reason) for row, reason in failed.items()}
