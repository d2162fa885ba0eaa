"""The chart of a fit's layers: what each holds at the peak, and whether it fits with all deeper ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aabench.report.figure_columns import figures
from aabench.report.page.chart import Chart, LeftOut, Trace, View
from aabench.report.page.chart_text import chart_text
from aabench.report.page.layer_chart import stripes
from aabench.report.quantities import BYTES, natural_unit

if TYPE_CHECKING:
    import pandas as pd

TITLE = "What every layer holds at the peak"
READING = (
    "Each bar is one augmented layer, the first at the top, as long as what it holds at the peak of the "
    "fully augmented network; colour and pattern say whether it fits when it and all deeper layers are "
    "augmented."
)

_LOOKS = {
    "fits": ("#009e73", ""),
    "too close to tell": ("#e69f00", "/"),
    "does not fit": ("#d55e00", "x"),
    "cannot run": ("#8c8c8c", "."),
}
"""Colour and pattern by verdict."""


def layers_at_peak(layers: pd.DataFrame) -> Chart | LeftOut:
    """One bar a layer.

    Args:
        layers: one row per layer with ``layer``, ``bytes_at_peak`` and ``with_deeper``, a verdict.
    """
    sizes = figures(layers, "bytes_at_peak")
    if not (sizes > 0).any():
        return LeftOut(TITLE, "no layer holds anything at the peak")
    unit = natural_unit(float(sizes.max()), BYTES)
    names = [chart_text(str(name)) for name in layers["layer"]]
    verdicts = layers["with_deeper"].tolist()
    traces: list[Trace] = []
    for verdict, (color, pattern) in _LOOKS.items():
        of_verdict = [place for place, each in enumerate(verdicts) if each == verdict]
        if of_verdict:
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": verdict,
                    "y": [names[place] for place in of_verdict],
                    "x": [float(sizes[place] / unit.size) for place in of_verdict],
                    "marker": {
                        "color": color,
                        "pattern": stripes(pattern),
                    },
                    "hovertemplate": f"%{{y}}<br>%{{x:.4~g}} {unit.symbol}, {verdict}",
                }
            )
    return Chart(
        key="layers",
        title=TITLE,
        reading=READING,
        views={"": View(traces)},
        layout={
            "barmode": "overlay",
            "height": 160 + 22 * len(names),
            "xaxis": {"title": {"text": f"bytes at the peak, {unit.symbol}"}},
            "yaxis": {
                "type": "category",
                "categoryorder": "array",
                "categoryarray": names,
                "autorange": "reversed",
                "dtick": 1,
            },
        },
    )
