"""The figures of results as columns of text: time, peak memory, counts, and against the convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aabench.report.aligned_text import TextColumn
from aabench.report.doubtful_times import doubtful_ratios, marked
from aabench.report.quantities import (
    BYTES,
    COUNTS,
    EMPTY,
    FLOPS,
    SECONDS,
    Scale,
    Unit,
    bytes_text,
    common_unit,
    in_unit,
    natural_unit,
    quantity_text,
    ratio_text,
    seconds_text,
    significant,
    with_spread,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PREDICTED = "~"
"""Stands before a figure that was predicted and not measured."""

COMPARISON = "vs plain"
"""The group of the ratios to the convolution that a layer replaces, or to the plain network."""

MUCH_MORE = 10.0
"""A ratio to the convolution from which on the eye is drawn to it."""


def figure_columns(frame: pd.DataFrame) -> list[TextColumn]:
    """The figures that at least one row has, each as a column with its unit in the heading."""
    return [
        *_time_columns(frame),
        *_throughput_columns(frame),
        *_peak_column(frame),
        *_quantity_column(frame, "flops", "FLOPs", FLOPS),
        *_quantity_column(frame, "params", "params", COUNTS),
        *_ratio_column(frame, "latency_ratio", "time"),
        *_ratio_column(frame, "peak_ratio", "memory"),
        *_ratio_column(frame, "flops_ratio", "FLOPs"),
    ]


def figures(frame: pd.DataFrame, name: str) -> Floats:
    """A numeric column as float64, NaN where it is empty; all NaN if there is no such column."""
    import numpy as np

    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def peak_bytes(frame: pd.DataFrame) -> tuple[Floats, NDArray[np.bool_]]:
    """Peak memory in bytes, measured where it was and else predicted; and where it is predicted."""
    import numpy as np

    measured = figures(frame, "peak_allocated_bytes")
    predicted = figures(frame, "predicted_peak_bytes")
    only_predicted = np.isnan(measured) & ~np.isnan(predicted)
    return np.where(only_predicted, predicted, measured), only_predicted


def half_widths(frame: pd.DataFrame) -> Floats:
    """Half of the 95 % confidence interval of the median latency, in seconds."""
    return (figures(frame, "latency_ci_high_s") - figures(frame, "latency_ci_low_s")) / 2


def figure_phrase(frame: pd.DataFrame, row: int) -> str:
    """One row's figures in words."""
    one = frame.iloc[row : row + 1]
    peak, predicted = peak_bytes(one)
    latency, half_width = figures(one, "latency_median_s")[0], half_widths(one)[0]
    peak_ratio = figures(one, "peak_ratio")[0]
    time_ratio = ratio_text(figures(one, "latency_ratio")[0], empty="")
    phrases = [
        seconds_text(latency, half_width, empty=""),
        bytes_text(peak[0], empty="") + (" predicted" if predicted[0] else ""),
        time_ratio and f"{marked([time_ratio], doubtful_ratios(one))[0]} the convolution's time",
        ratio_text(peak_ratio, empty="") and f"{ratio_text(peak_ratio)} its memory",
    ]
    return ", ".join(filter(None, phrases))


def _time_columns(frame: pd.DataFrame) -> list[TextColumn]:
    """The median and beside it its spread, each to the digits that the spread lets stand."""
    medians, halves = figures(frame, "latency_median_s").tolist(), half_widths(frame).tolist()
    if all(map(math.isnan, medians)):
        return _predicted_time_column(frame)
    common = common_unit(medians, SECONDS)
    texts = [_time_text(median, half, common) for median, half in zip(medians, halves, strict=True)]
    median_column = _headed_column("time", [text for text, _ in texts], common)
    spreads = [spread for _, spread in texts]
    if not any(spreads):
        return [median_column]
    return [
        median_column,
        TextColumn("spread of time", "", spreads, styles=["dim"] * len(spreads), gap=1),
    ]


def _predicted_time_column(frame: pd.DataFrame) -> list[TextColumn]:
    """Predicted times, where nothing was measured."""
    cells, unit = _cells(figures(frame, "predicted_latency_s").tolist(), SECONDS)
    marked = [PREDICTED + cell if cell != EMPTY else cell for cell in cells]
    styles = ["dim"] * len(marked)
    return _unless_empty(_headed_column("time", marked, unit, styles))


def _throughput_columns(frame: pd.DataFrame) -> list[TextColumn]:
    """Images a second of networks, and the hours that so many images take where it was asked."""
    if "network" not in frame.columns or not frame["network"].notna().any():
        return []
    columns: list[TextColumn] = []
    for name, head in (("items_per_s", "images/s"), ("training_hours", "hours")):
        values = figures(frame, name).tolist()
        cells = [EMPTY if math.isnan(value) else significant(value) for value in values]
        columns += _unless_empty(TextColumn(head, head, cells, right=True))
    return columns


def _time_text(median: float, half_width: float, common: Unit | None) -> tuple[str, str]:
    if math.isnan(median):
        return EMPTY, ""
    unit = common or natural_unit(median, SECONDS)
    value, spread = with_spread(median / unit.size, half_width / unit.size)
    suffix = f" {unit.symbol}" if common is None else ""
    return (value, f"± {spread}{suffix}") if spread else (value + suffix, "")


def _peak_column(frame: pd.DataFrame) -> list[TextColumn]:
    values, predicted = peak_bytes(frame)
    cells, unit = _cells(values.tolist(), BYTES)
    marks = predicted.tolist()
    cells = [PREDICTED + cell if mark else cell for cell, mark in zip(cells, marks, strict=True)]
    styles = ["dim" if mark else "" for mark in marks]
    return _unless_empty(_headed_column("peak", cells, unit, styles))


def _quantity_column(frame: pd.DataFrame, name: str, title: str, scale: Scale) -> list[TextColumn]:
    cells, unit = _cells(figures(frame, name).tolist(), scale)
    return _unless_empty(_headed_column(title, cells, unit))


def _ratio_column(frame: pd.DataFrame, name: str, head: str) -> list[TextColumn]:
    ratios = figures(frame, name).tolist()
    cells = [ratio_text(ratio) for ratio in ratios]
    if name == "latency_ratio":
        cells = marked(cells, doubtful_ratios(frame))
    styles = [_ratio_style(ratio) for ratio in ratios]
    title = f"{head} {COMPARISON}"
    return _unless_empty(TextColumn(title, head, cells, True, COMPARISON, styles))


def _ratio_style(ratio: float) -> str:
    if ratio >= MUCH_MORE:
        return "yellow"
    return "green" if ratio <= 1 else ""


def _cells(values: Sequence[float], scale: Scale) -> tuple[list[str], Unit | None]:
    """The texts of a column, and their unit; None where each text names its own."""
    common = common_unit(values, scale)
    if common is None:
        return [quantity_text(value, scale) for value in values], None
    return [
        EMPTY if math.isnan(value) else in_unit(value, common, scale) for value in values
    ], common


def _headed_column(
    title: str, cells: Sequence[str], unit: Unit | None, styles: Sequence[str] = ()
) -> TextColumn:
    """A column of a quantity, whose heading names the unit if there is one for all."""
    column = TextColumn(title, title, cells, right=True, styles=styles)
    if unit is None or not unit.symbol:
        return column
    return replace(column, head=_headed(title, unit), printed_head=f"{title} / {unit.symbol}")


def _headed(title: str, unit: Unit) -> str:
    """A short heading with its unit: ``peak MiB``, ``M params``, and ``GFLOP`` alone."""
    if unit in FLOPS.units:
        return unit.symbol
    if unit in COUNTS.units:
        return f"{unit.symbol} {title}"
    return f"{title} {unit.symbol}"


def _unless_empty(column: TextColumn) -> list[TextColumn]:
    return [] if all(cell.rstrip() == EMPTY for cell in column.cells) else [column]
