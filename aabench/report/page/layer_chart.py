"""The layer chart: what every layer of a network holds of the bytes alive at the peak of a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aabench.cases.module_part import ModulePart
from aabench.report.page.chart import Chart, LeftOut, Trace, View
from aabench.report.page.chart_text import chart_text
from aabench.report.page.form_look import GREY, INK
from aabench.report.quantities import BYTES, bytes_text, natural_unit

TITLE = "Alive at the peak, layer by layer"
READING = (
    "Each bar is one layer, in the order of the forward pass from the top, as long as what it holds of the "
    "bytes alive at the predicted peak: the parts say what these bytes are."
)

MOST_LAYERS = 60
"""Bars that one can still read; of more layers those that hold the least are summed up."""

_LOOKS = {
    "parameters": ("#0072b2", ""),
    "buffers": (GREY, "."),
    "optimizer state": ("#56b4e9", "/"),
    "gradients": ("#d55e00", ""),
    "gradient buckets": ("#d55e00", "\\"),
    "activations": ("#009e73", ""),
    "attention maps": ("#e69f00", "x"),
    "attention buffers": ("#f0e442", "-"),
    "convolution copies": ("#cc79a7", "|"),
    "temporaries": (INK, "+"),
    "input": (GREY, ""),
    "target": (GREY, "|"),
}
"""Colour and pattern of what bytes can be, at the bottom of a bar first."""


def alive_at_peak(parts: Sequence[ModulePart]) -> Chart | LeftOut:
    """One stacked bar a layer; layers that hold nothing at the peak have none."""
    holding = [part for part in parts if part.bytes_at_peak > 0]
    if not holding:
        return LeftOut(TITLE, "no layer is known to hold anything at the peak")
    shown, others = _largest(holding)
    unit = natural_unit(max(part.bytes_at_peak for part in shown), BYTES)
    note = ""
    if others:
        rest = sum(part.bytes_at_peak for part in others)
        note = f"{len(others)} more layers hold {bytes_text(rest)} together; the table has them."
    return Chart(
        key="layers",
        title=TITLE,
        reading=READING,
        views={"": View(list(_traces(shown, unit.size, unit.symbol)), note)},
        layout=_layout(shown, unit.symbol),
    )


def stripes(shape: str) -> dict[str, Any]:
    """White lines or dots over the colour of a bar, by Plotly's schema; none where the shape is empty."""
    return {"shape": shape, "fillmode": "overlay", "fgcolor": "#ffffff", "solidity": 0.25}


def _largest(parts: Sequence[ModulePart]) -> tuple[list[ModulePart], list[ModulePart]]:
    """Those that hold the most, still in the order of the forward pass, and the others."""
    by_size = sorted(range(len(parts)), key=lambda place: -parts[place].bytes_at_peak)
    kept = set(by_size[:MOST_LAYERS])
    shown = [part for place, part in enumerate(parts) if place in kept]
    return shown, [part for place, part in enumerate(parts) if place not in kept]


def _traces(parts: Sequence[ModulePart], size: float, symbol: str) -> Iterator[Trace]:
    kinds = [*_LOOKS, *sorted({kind for part in parts for kind in part.at_peak} - set(_LOOKS))]
    for kind in kinds:
        amounts = [part.at_peak.get(kind, 0) for part in parts]
        if not any(amounts):
            continue
        color, pattern = _LOOKS.get(kind, (GREY, ""))
        yield {
            "type": "bar",
            "orientation": "h",
            "name": chart_text(kind),
            "y": [chart_text(part.name) for part in parts],
            "x": [amount / size for amount in amounts],
            "text": [chart_text(_said(part)) for part in parts],
            "textposition": "none",
            "marker": {
                "color": color,
                "line": {"width": 0},
                "pattern": stripes(pattern),
            },
            "hovertemplate": f"%{{text}}<br>%{{x:.4~g}} {symbol} {chart_text(kind)}",
        }


def _said(part: ModulePart) -> str:
    told = [part.name, part.attention, f"{bytes_text(part.bytes_at_peak)} in all"]
    return ", ".join(filter(None, told))


def _layout(parts: Sequence[ModulePart], symbol: str) -> dict[str, Any]:
    return {
        "barmode": "stack",
        "height": 160 + 22 * len(parts),
        "xaxis": {"title": {"text": f"bytes at the peak, {symbol}"}},
        "yaxis": {"autorange": "reversed", "type": "category", "dtick": 1},
    }
