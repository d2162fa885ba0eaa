"""The table of rows: every row of the results with its axes, figures and words, to sort and filter by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aabench.report.aligned_text import TextColumn, cut, one_line
from aabench.report.axis_text import axis_column
from aabench.report.figure_columns import (
    COMPARISON,
    PREDICTED,
    figure_columns,
    figures,
    half_widths,
)
from aabench.report.page.coded_axis import CodedAxis
from aabench.report.page.page_rows import Band, PageRows
from aabench.report.page.short_numbers import short_numbers
from aabench.report.quantities import EMPTY, bytes_text, seconds_text
from aabench.report.remarks import MOST_CHARACTERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SORTED_BY = {
    "images/s": "items_per_s",
    "hours": "training_hours",
    "FLOPs": "flops",
    "params": "params",
    f"time {COMPARISON}": "latency_ratio",
    f"memory {COMPARISON}": "peak_ratio",
    f"FLOPs {COMPARISON}": "flops_ratio",
}
"""Columns of text, and the figures that they show."""

FORMLESS = "one step"
"""What heads the answers of rows that name no attention form."""

_WORDS = ("reason", "warnings", "notes")


def table_data(rows: PageRows) -> dict[str, Any]:
    """The rows as JSON-ready columns.

    ``columns``: each with its ``head``, a ``text`` per row and, of numbers, a ``value`` to sort by;
    ``status``, ``peak`` and ``time`` in words; ``low`` and ``high`` bytes to hold against a budget,
    ``null`` where a row has no answer; ``latency`` in seconds.
    """
    return {
        "count": len(rows),
        "columns": [*_axis_columns(rows), *_figure_columns(rows), *_word_columns(rows)],
        "status": rows.status.tolist(),
        "reason": [_words(value) for value in _texts(rows, "reason")],
        "peak": _amounts(rows.peak),
        "time": _times(rows),
        "value": short_numbers(rows.peak.value),
        "low": _answers(rows, rows.peak.low),
        "high": _answers(rows, rows.peak.high),
        "latency": short_numbers(rows.latency.value),
    }


def answer_data(rows: PageRows) -> dict[str, Any]:
    """The rows by setting and attention form: ``rows[setting][form]`` is a row's place, -1 for none.

    A setting is what differs between rows apart from the form; ``heads`` and ``cells`` say which.
    """
    import numpy as np

    axes = rows.axes
    settings = np.zeros(len(rows), np.int64)
    if axes:
        codes = np.stack([axis.codes for axis in axes], axis=1)
        _, first, inverse = np.unique(codes, axis=0, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        order = np.argsort(first)  # settings in the order of the rows
        rank[order] = np.arange(len(first))
        settings = rank[inverse.reshape(-1)]
    count = int(settings.max(initial=-1)) + 1
    places = np.full((count, len(rows.form.labels)), -1, np.int64)
    places[settings[::-1], rows.form.codes[::-1]] = np.arange(len(rows))[::-1]
    shown = places.max(axis=1, initial=-1)
    return {
        "heads": [axis.head for axis in axes],
        "cells": [[axis.labels[axis.codes[row]] for axis in axes] for row in shown.tolist()],
        "orders": [_orders(axis, shown) for axis in axes],
        "forms": [FORMLESS if form == EMPTY else form for form in rows.form.labels],
        "rows": places.tolist(),
    }


def _orders(axis: CodedAxis, shown: NDArray[np.int64]) -> list[int]:
    codes: list[int] = axis.codes[shown].tolist()
    return codes


def _axis_columns(rows: PageRows) -> list[dict[str, Any]]:
    columns = []
    for axis in rows.swept:
        column = axis_column(rows.frame, axis)
        value = None
        if column.right:
            value = short_numbers(figures(rows.frame, axis.columns[0]))
        columns.append(_column(column, value))
    return columns


def _figure_columns(rows: PageRows) -> list[dict[str, Any]]:
    """The figures as the terminal shows them, with the numbers behind them."""
    columns: list[dict[str, Any]] = []
    for column in figure_columns(rows.frame):
        if column.name == "spread of time":  # no column of its own: it stands behind the time
            time = columns[-1]
            pairs = zip(time["text"], column.cells, strict=True)
            time["text"] = [f"{text} {spread}".rstrip() for text, spread in pairs]
            continue
        columns.append(_column(column, short_numbers(_behind(rows, column.name))))
    return columns


def _behind(rows: PageRows, name: str) -> Floats:
    if name == "time":
        return rows.latency.value
    if name == "peak":
        return rows.peak.value
    return figures(rows.frame, _SORTED_BY[name])


def _word_columns(rows: PageRows) -> list[dict[str, Any]]:
    columns = []
    for name in _WORDS:
        texts = [_words(value) for value in _texts(rows, name)]
        if any(texts):
            columns.append({"head": name, "text": texts, "isWords": True})
    return columns


def _column(column: TextColumn, value: list[float | None] | None) -> dict[str, Any]:
    head = column.head or column.name
    if column.group and column.group not in head:
        head = f"{head} {column.group}"
    cells = [one_line(cell) for cell in column.cells]
    return {"head": head, "text": cells, "value": value, "right": column.right}


def _texts(rows: PageRows, name: str) -> list[Any]:
    if name not in rows.frame.columns:
        return [None] * len(rows)
    column = rows.frame[name].astype(object)
    return column.where(column.notna(), None).tolist()


def _words(value: Any) -> str:
    return "" if value is None else cut(str(value), MOST_CHARACTERS)


def _amounts(band: Band) -> list[str]:
    return [
        (PREDICTED if predicted else "") + bytes_text(value, empty="")
        for value, predicted in zip(band.value.tolist(), band.is_predicted.tolist(), strict=True)
    ]


def _times(rows: PageRows) -> list[str]:
    halves = half_widths(rows.frame).tolist()
    band = rows.latency
    return [
        PREDICTED + seconds_text(value) if predicted else seconds_text(value, half, empty="")
        for value, half, predicted in zip(
            band.value.tolist(), halves, band.is_predicted.tolist(), strict=True
        )
    ]


def _answers(rows: PageRows, ends: Floats) -> list[int | None]:
    """Whole bytes, exact, since they are held against a budget."""
    known = rows.can_answer.tolist()
    return [round(end) if there else None for end, there in zip(ends.tolist(), known, strict=True)]
