"""The explanation of one network: its layers, what fills its peak, and the plain network beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.cases.module_part import ModulePart
from aabench.report.aligned_text import AlignedTable, TextColumn, fitted, prose
from aabench.report.layer_table import Composition, peak_table
from aabench.report.quantities import (
    bytes_text,
    count_text,
    duration_text,
    flops_text,
    macs_text,
    ratio_text,
    seconds_text,
    share_text,
)

EXPENDABLE = ("kind", "live", "MACs step", "output", "saved", "params")
"""Columns that a narrow terminal goes without, the least important first."""

AUGMENTED_STYLE = "cyan"


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """What is known of one network.

    Attributes:
        title: the case in words.
        parts: its modules, in the order of the forward pass.
        peak: what is alive at the predicted peak.
        totals: figures of the whole step by column name, predicted and measured.
        plain_name: of the network beside it, empty if there is none.
        plain_totals: its figures.
        basis: what stands behind the predictions.
        left_out: modules that cost nothing and are not listed.
    """

    title: str
    parts: Sequence[ModulePart]
    peak: Composition
    totals: Mapping[str, Any]
    plain_name: str = ""
    plain_totals: Mapping[str, Any] | None = None
    basis: str = ""
    left_out: int = 0


def network_table(report: NetworkReport, *, width: int) -> RenderableType:
    """Render the explanation of one network for so many terminal cells."""
    return Group(*_pieces(report, width))


def _pieces(report: NetworkReport, width: int) -> Iterator[RenderableType]:
    yield from prose(report.title, width, style="bold")
    yield Text()
    kept, dropped = fitted(part_columns(report.parts, report.peak.total), width, EXPENDABLE)
    yield AlignedTable(kept, width)
    yield from prose(_legend(report, [column.name for column in dropped]), width, style="dim")
    yield Text()
    heading = f"Alive at the predicted peak, {bytes_text(report.peak.total)}"
    yield from prose(heading, width, style="bold")
    yield peak_table(report.peak, width)
    if report.peak.meaning:
        yield from prose(report.peak.meaning, width, style="dim")
    yield Text()
    yield Text("The whole step", style="bold")
    yield AlignedTable(total_columns(report), width)
    yield from prose(basis_line(report), width, style="dim")


def _legend(report: NetworkReport, dropped: Sequence[str]) -> str:
    sentences = [
        "params, MACs and bytes are predicted; at peak: of the bytes alive at the network's peak, "
        "what the module allocated"
    ]
    if report.left_out:
        sentences.append(f"{_counted(report.left_out)} left out")
    if dropped:
        sentences.append(f"not shown at this width: {', '.join(dropped)}; --format csv has them")
    return "; ".join(sentences)


def basis_line(report: NetworkReport) -> str:
    """The bands of the predictions, and what stands behind them."""
    sentences = [report.basis] if report.basis else []
    for name, unit, what, show in (
        ("predicted_peak", "bytes", "peak", bytes_text),
        ("predicted_latency", "s", "time", seconds_text),
    ):
        low, high = (report.totals.get(f"{name}_{end}_{unit}") for end in ("low", "high"))
        if low is not None and high is not None:
            sentences.append(f"predicted {what} between {show(low)} and {show(high)}")
    if report.totals.get("bound"):
        sentences.append(f"bound by {report.totals['bound']}")
    if report.totals.get("prediction_basis"):
        sentences.append(str(report.totals["prediction_basis"]))
    return "; ".join(sentences)


def part_columns(parts: Sequence[ModulePart], peak: int) -> list[TextColumn]:
    """The modules of a network, one row each; columns that would be empty are left out."""
    styles = [AUGMENTED_STYLE if part.attention else "" for part in parts]
    trains = any(part.macs_step != part.macs_forward for part in parts)
    columns = [
        TextColumn("layer", "layer", [part.name for part in parts], styles=styles),
        TextColumn("kind", "kind", [part.kind for part in parts]),
        TextColumn("output", "output", [_shape(part.output_shape) for part in parts]),
        _amounts("params", "params", [part.params for part in parts], count_text),
        _amounts("MACs", "MACs forward", [part.macs_forward for part in parts], macs_text),
    ]
    if trains:
        steps = [part.macs_step for part in parts]
        columns.append(_amounts("MACs step", "MACs step", steps, macs_text))
    columns += [
        _amounts("saved", "saved", [part.bytes_saved for part in parts], bytes_text),
        _amounts("at peak", "at peak", [part.bytes_at_peak for part in parts], bytes_text),
        TextColumn(
            "share",
            "share",
            [share_text(part.bytes_at_peak / peak) if part.bytes_at_peak else "" for part in parts],
            right=True,
        ),
        _amounts("live", "alive meanwhile", [part.live_peak_bytes for part in parts], bytes_text),
        TextColumn(
            "time",
            "forward time",
            [seconds_text(part.forward_s, empty="") for part in parts],
            right=True,
        ),
        TextColumn("attention", "attention", [part.attention for part in parts], styles=styles),
    ]
    return [column for column in columns if any(column.cells)]


def _amounts(name: str, head: str, values: Sequence[int], show: Any) -> TextColumn:
    return TextColumn(name, head, [show(value) if value else "" for value in values], right=True)


def _counted(modules: int) -> str:
    return "1 module that costs nothing is" if modules == 1 else f"{modules} that cost nothing are"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


_TOTALS = (
    ("params", "parameters", count_text),
    ("macs", "MACs of the step", macs_text),
    ("flops", "FLOPs of the step", flops_text),
    ("flops_forward", "FLOPs forward", flops_text),
    ("predicted_peak_bytes", "peak, predicted", bytes_text),
    ("peak_allocated_bytes", "peak, measured", bytes_text),
    ("base_bytes", "of it there before the step", bytes_text),
    ("predicted_latency_s", "time, predicted", seconds_text),
    ("latency_median_s", "time, measured", seconds_text),
    ("items_per_s", "images a second", lambda value: "" if value is None else f"{value:.3g}"),
    (
        "training_hours",
        "training time",
        lambda value: "" if value is None else duration_text(3600 * value),
    ),
)


def total_columns(report: NetworkReport) -> list[TextColumn]:
    """The figures of the whole step, the plain network's beside them where there is one."""
    plain = report.plain_totals or {}
    rows = [row for row in _TOTALS if report.totals.get(row[0]) is not None]
    ours = [report.totals[name] for name, _, _ in rows]
    theirs = [plain.get(name) for name, _, _ in rows]
    columns = [
        TextColumn("what", "", [label for _, label, _ in rows]),
        TextColumn(
            "ours", "", [show(v) for v, (_, _, show) in zip(ours, rows, strict=True)], right=True
        ),
    ]
    if report.plain_name:
        shown = [
            "" if value is None else show(value)
            for value, (_, _, show) in zip(theirs, rows, strict=True)
        ]
        ratios = [
            ratio_text(mine / other) if other else ""
            for mine, other in zip(ours, theirs, strict=True)
        ]
        columns += [
            TextColumn("plain", report.plain_name, shown, right=True),
            TextColumn("ratio", "ratio", ratios, right=True),
        ]
    return columns
