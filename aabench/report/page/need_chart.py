"""The need chart: how much memory every attention form needs of a budget, at the least and at the most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aabench.report.figure_columns import figures
from aabench.report.page.chart import Chart, LeftOut
from aabench.report.page.chart import View as ChartView
from aabench.report.page.chart_text import chart_text
from aabench.report.page.form_look import INK, form_looks
from aabench.report.quantities import BYTES, bytes_text, natural_unit

if TYPE_CHECKING:
    import pandas as pd

TITLE = "What every form needs"
READING = (
    "Each bar goes from the least to the most that the whole process may need with one attention form: left "
    "of the line it fits the budget, across it nobody can tell, right of it does not fit."
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
    low, high = figures(forms, "needed_low_bytes"), figures(forms, "needed_high_bytes")
    known = (low > 0).nonzero()[0].tolist()
    if not known:
        return LeftOut(TITLE, "no form can run")
    names = [str(name) for name in forms["attention"]]
    looks = form_looks(names)
    most = max(*high[known].tolist(), usable_bytes)
    unit = natural_unit(most, BYTES)
    budget = usable_bytes / unit.size
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": chart_text(names[row]),
            "y": [chart_text(names[row])],
            "base": [float(low[row] / unit.size)],
            "x": [float((high[row] - low[row]) / unit.size)],
            "text": [f" {bytes_text(low[row])} to {bytes_text(high[row])}"],
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": looks[names[row]].color},
            "hovertemplate": f"{chart_text(str(forms['verdict'].iloc[row]))}: %{{text}}",
        }
        for row in known
    ]
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": f"budget, {bytes_text(usable_bytes)}",
        "x": [budget, budget],
        "y": [chart_text(names[known[0]]), chart_text(names[known[-1]])],
        "line": {"color": INK, "width": 2},
        "hoverinfo": "skip",
    }
    return Chart(
        key="forms",
        title=TITLE,
        reading=READING,
        views={"": ChartView([*traces, line])},
        layout={
            "barmode": "overlay",
            "height": 150 + 44 * len(known),
            "xaxis": {
                "title": {"text": f"memory of the process, {unit.symbol}"},
                "range": [0, ROOM * most / unit.size],
            },
            "yaxis": {"autorange": "reversed", "type": "category"},
        },
    )
