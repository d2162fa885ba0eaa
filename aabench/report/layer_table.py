"""The layer table: what each part of one case costs, what is alive at its peak, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.cases.part import Part
from aabench.report.aligned_text import AlignedTable, TextColumn, fitted, prose
from aabench.report.figure_columns import COMPARISON
from aabench.report.quantities import (
    bytes_text,
    count_text,
    flops_text,
    macs_text,
    ratio_text,
    seconds_text,
    share_text,
)

TOTAL = "total"

BAR_CELLS = 24
"""Length of the bar of what fills the whole peak."""

EXPENDABLE = ("bar", "meaning", "MACs forward", "share", "params")
"""Columns that a narrow terminal goes without, the least important first."""


@dataclass(frozen=True, slots=True)
class Composition:
    """What is alive at the peak of a step.

    Attributes:
        entries: bytes by name, such as ``maps`` or ``weights``.
        meaning: one line on what the names stand for; may be empty.
    """

    entries: Mapping[str, int]
    meaning: str = ""

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return sum(self.entries.values())


def layer_table(
    parts: Sequence[Part],
    *,
    title: str,
    width: int,
    peak: Composition | None = None,
    row: Mapping[str, Any] | None = None,
) -> RenderableType:
    """Render the explanation of one case.

    Args:
        parts: the pieces of the layer, in the order of its computation.
        title: the case in words.
        width: terminal cells per line.
        peak: what is alive at the predicted peak.
        row: the case's row of results, predicted or measured, by column name.
    """
    return Group(*_parts(parts, title, width, peak, row or {}))


def _parts(
    parts: Sequence[Part],
    title: str,
    width: int,
    peak: Composition | None,
    row: Mapping[str, Any],
) -> Iterator[RenderableType]:
    yield from prose(title, width, style="bold")
    if parts:
        yield Text()
        kept, dropped = fitted(_part_columns(parts), width, EXPENDABLE)
        yield AlignedTable(kept, width)
        if any(column.name == "meaning" for column in dropped):
            meanings = [f"{part.name}: {part.meaning}" for part in parts if part.meaning]
            yield from prose("; ".join(meanings), width, style="dim")
    if peak is not None and peak.entries:
        yield Text()
        yield from prose(
            f"Alive at the predicted peak, {bytes_text(peak.total)}", width, style="bold"
        )
        yield peak_table(peak, width)
        if peak.meaning:
            yield from prose(peak.meaning, width, style="dim")
    figures = list(_figures(row))
    if figures:
        yield Text()
        yield Text("The whole step", style="bold")
        widest = max(len(name) for name, _ in figures)
        for name, text in figures:
            yield from prose(text, width, lead=f"  {name.ljust(widest)}  ")


def peak_table(peak: Composition, width: int) -> AlignedTable:
    """What fills a peak, the largest first."""
    return AlignedTable(fitted(peak_columns(peak), width, EXPENDABLE)[0], width)


def _part_columns(parts: Sequence[Part]) -> list[TextColumn]:
    """One row per part and one for their total; the step's MACs only where they differ."""
    forward, step = (
        [part.macs_forward for part in parts],
        [part.macs_step for part in parts],
    )
    columns = [
        TextColumn("part", "part", [*(part.name for part in parts), TOTAL]),
        _summed("params", [part.params for part in parts], count_text),
        _summed("MACs forward", forward, count_text),
    ]
    if step != forward:
        columns.append(_summed("MACs step", step, count_text))
    columns += [
        _shares(step),
        _summed("saved", [part.bytes_saved for part in parts], bytes_text),
        TextColumn("meaning", "", [*(part.meaning for part in parts), ""]),
    ]
    return [_with_bold_total(column) for column in columns if any(column.cells[:-1])]


def peak_columns(peak: Composition) -> list[TextColumn]:
    """The largest first, with a bar each."""
    entries = sorted(peak.entries.items(), key=lambda entry: -entry[1])
    shares = [count / peak.total if peak.total else 0.0 for _, count in entries]
    return [
        TextColumn("what", "", [name for name, _ in entries]),
        TextColumn("bytes", "bytes", [bytes_text(count) for _, count in entries], right=True),
        TextColumn("share", "share", [share_text(share) for share in shares], right=True),
        TextColumn("bar", "", ["█" * round(BAR_CELLS * share) for share in shares]),
    ]


def _summed(name: str, values: Sequence[int], show: Callable[[int], str]) -> TextColumn:
    """A column of counts over its sum; a part that has none of it shows nothing."""
    cells = [show(value) if value else "" for value in values]
    return TextColumn(name, name, [*cells, show(sum(values))], right=True)


def _shares(macs: Sequence[int]) -> TextColumn:
    total = sum(macs)
    cells = [share_text(count / total) if count else "" for count in macs]
    return TextColumn("share", "of MACs", [*cells, ""], right=True)


def _with_bold_total(column: TextColumn) -> TextColumn:
    styles = ["dim" if column.name == "meaning" else ""] * (len(column.cells) - 1)
    return TextColumn(
        column.name, column.head, column.cells, column.right, styles=[*styles, "bold"]
    )


def _figures(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The row's figures in words, prediction and measurement beside each other."""
    status = row.get("status")
    if isinstance(status, str) and isinstance(row.get("reason"), str):
        yield status, str(row["reason"])
    yield from _counted(row, "macs", "MACs", macs_text)
    yield from _counted(row, "flops", "FLOPs", flops_text)
    yield from _peak(row)
    yield from _predicted_time(row)
    latency = _number(row, "latency_median_s")
    if latency is not None:
        yield "time", seconds_text(latency, _half_width(row))
    yield from _kernel(row)
    against = [
        f"{ratio_text(ratio)} the {name}"
        for column, name in (
            ("latency_ratio", "time"),
            ("peak_ratio", "memory"),
            ("flops_ratio", "FLOPs"),
        )
        if (ratio := _number(row, column)) is not None
    ]
    if against:
        yield COMPARISON, ", ".join(against)


def _kernel(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What computed the attention, and why nothing faster did."""
    kernel, refused = row.get("kernel"), row.get("kernel_refused")
    if isinstance(kernel, str):
        yield "kernel", f"{kernel}, not {refused}" if isinstance(refused, str) else kernel


def _counted(
    row: Mapping[str, Any], column: str, name: str, show: Callable[[float], str]
) -> Iterator[tuple[str, str]]:
    value = _number(row, column)
    if value is not None:
        yield name, show(value)


def _peak(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Peak memory: predicted, measured, and by how much the prediction is off."""
    predicted, measured = (
        _number(row, "predicted_peak_bytes"),
        _number(row, "peak_allocated_bytes"),
    )
    if predicted is None and measured is None:
        return
    words = []
    if measured is not None:
        words.append(f"{bytes_text(measured)} measured")
    if predicted is not None:
        words.append(f"{bytes_text(predicted)} predicted{_band(row, 'predicted_peak', bytes_text)}")
    if predicted is not None and measured:
        words.append(f"off by {100 * (predicted / measured - 1):+.1f} %")
    yield "peak memory", ", ".join(words)


def _predicted_time(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    seconds = _number(row, "predicted_latency_s")
    if seconds is not None:
        bound = row.get("bound")
        cause = f", bound by {bound}" if bound else ""
        yield "time", f"{seconds_text(seconds)} predicted{_band(row, 'predicted_latency')}{cause}"


def _band(row: Mapping[str, Any], name: str, show: Callable[[float], str] = seconds_text) -> str:
    """The band of a prediction in brackets, and what stands behind it."""
    unit = "bytes" if show is bytes_text else "s"
    low, high = _number(row, f"{name}_low_{unit}"), _number(row, f"{name}_high_{unit}")
    if low is None or high is None:
        return ""
    return f" ({show(low)} to {show(high)}, {row.get('prediction_basis')})"


def _half_width(row: Mapping[str, Any]) -> float | None:
    low, high = _number(row, "latency_ci_low_s"), _number(row, "latency_ci_high_s")
    return None if low is None or high is None else (high - low) / 2


def _number(row: Mapping[str, Any], column: str) -> float | None:
    """A figure of the row as a float; None where it is empty in any of pandas' ways."""
    import pandas as pd

    value = row.get(column)
    return None if pd.isna(value) else float(value)
