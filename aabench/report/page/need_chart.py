"""The need chart: how much memory every attention form needs of a budget, at the least and at the most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aabench.report.figure_columns import figures
from aabench.report.page.chart import Chart, LeftOut, Trace, View
from aabench.report.page.chart_text import chart_text
from aabench.report.page.form_look import INK, form_looks
from aabench.report.quantities import BYTES, Unit, bytes_text, natural_unit

if TYPE_CHECKING:
    import pandas as pd

TITLE = "What every form needs"
READING = (
    "Each bar goes from the least that the whole process needs with one attention form to the most, with the "
    "margin that is kept free: left of the budget's line it fits, across it nobody can tell, right of it it "
    "does not fit."
)

ROOM = 1.3
"""How far the axis goes beyond the longest bar, for the words at its end."""


def need_of_forms(forms: pd.DataFrame, usable_bytes: int) -> Chart | LeftOut:
    """One bar a form, and the line of the budget.

    Args:
        forms: one row per form with ``attention``, ``verdict``, ``needed_low_bytes`` and
            ``needed_high_bytes``.
        usable_bytes: the budget.
    """
    known = forms[figures(forms, "needed_low_bytes") > 0]
    if not len(known):
        return LeftOut(TITLE, "no form can run")
    most = max(float(figures(known, "needed_high_bytes").max()), usable_bytes)
    unit = natural_unit(most, BYTES)
    return Chart(
        key="forms",
        title=TITLE,
        reading=READING,
        views={"": View(list(_bars(known, unit)))},
        layout={
            "barmode": "overlay",
            "height": 150 + 44 * len(known),
            "showlegend": False,
            "shapes": [_line(usable_bytes, unit)],
            "xaxis": {
                "title": {"text": f"memory of the process, {unit.symbol}"},
                "range": [0, ROOM * most / unit.size],
            },
            "yaxis": {"autorange": "reversed", "type": "category"},
        },
    )


def _bars(forms: pd.DataFrame, unit: Unit) -> Iterator[Trace]:
    low, high = figures(forms, "needed_low_bytes"), figures(forms, "needed_high_bytes")
    names = [str(name) for name in forms["attention"]]
    looks = form_looks(names)
    for row, (name, verdict) in enumerate(zip(names, forms["verdict"], strict=True)):
        yield {
            "type": "bar",
            "orientation": "h",
            "name": chart_text(name),
            "y": [chart_text(name)],
            "base": [float(low[row] / unit.size)],
            "x": [float((high[row] - low[row]) / unit.size)],
            "text": [f" {bytes_text(low[row])} to {bytes_text(high[row])}"],
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": looks[name].color},
            "hovertemplate": f"{chart_text(str(verdict))}: %{{text}}",
        }


def _line(usable_bytes: int, unit: Unit) -> dict[str, Any]:
    """The budget, by Plotly's schema."""
    at = usable_bytes / unit.size
    return {
        "type": "line",
        "yref": "paper",
        "x0": at,
        "x1": at,
        "y0": 0,
        "y1": 1,
        "line": {"color": INK, "width": 2},
        "label": {
            "text": f"budget, {bytes_text(usable_bytes)}",
            "textposition": "end",
            "textangle": 0,
            "xanchor": "left",
            "font": {"color": INK},
        },
    }
