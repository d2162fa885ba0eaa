"""The prediction chart: how far predictions were from measurements, and whether their bands held them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aabench.report.figure_columns import figures
from aabench.report.page.chart import Chart, Choice, LeftOut, Trace, View, log_axis
from aabench.report.page.chart_text import chart_text
from aabench.report.page.form_look import GREY, FormLook, form_looks
from aabench.report.page.page_rows import PageRows
from aabench.report.page.short_numbers import short_numbers
from aabench.report.quantities import BYTES, SECONDS, Scale, Unit, common_unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Floats = NDArray[np.float64]

TITLE = "Predicted against measured"
READING = (
    "Each mark is one row at predicted / measured, with the bar of its band: on the line at 1 the "
    "prediction was right, and a bar that does not cross the line, with its mark a cross, was wrong."
)

RIGHT = {
    "type": "line",
    "xref": "paper",
    "x0": 0,
    "x1": 1,
    "y0": 1,
    "y1": 1,
    "line": {"color": GREY, "width": 1},
}
"""The line at 1, by Plotly's schema."""

MOST_BARS = 1500
"""Rows with a bar each; more are drawn without, by the graphics card."""


def predicted_against_measured(rows: PageRows) -> Chart | LeftOut:
    """The ratio of predicted to measured peaks and times, over the measured ones."""
    pairs = [
        _Pairs.of(rows, "peak memory", BYTES, "predicted_peak{}_bytes", "peak_allocated_bytes"),
        _Pairs.of(rows, "latency", SECONDS, "predicted_latency{}_s", "latency_median_s"),
    ]
    known = [each for each in pairs if len(each.points)]
    if not known:
        return LeftOut(TITLE, "no row has both a prediction and a measurement")
    return Chart(
        key="prediction",
        title=TITLE,
        reading=READING,
        views={str(place): each.view() for place, each in enumerate(known)},
        choices=[Choice("quantity", [each.name for each in known])],
        layout={
            "yaxis": {"title": {"text": "predicted / measured"}},
            "shapes": [RIGHT],
        },
        start="0",
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """One quantity of all rows that have both figures: ``points`` are the rows' places."""

    rows: PageRows
    name: str
    unit: Unit
    points: Codes
    measured: Floats
    predicted: Floats
    low: Floats
    high: Floats
    looks: Mapping[str, FormLook]

    @classmethod
    def of(cls, rows: PageRows, name: str, scale: Scale, predicted: str, measured: str) -> _Pairs:
        import numpy as np

        found = figures(rows.frame, measured)
        mid, low, high = (
            figures(rows.frame, predicted.format(end)) for end in ("", "_low", "_high")
        )
        points = (~np.isnan(mid) & (found > 0)).nonzero()[0]
        unit = common_unit(found[points].tolist(), scale) or scale.units[-2]
        looks = form_looks(rows.form.labels)
        return cls(rows, name, unit, points, found, mid, low, high, looks)

    def view(self) -> View:
        """All marks, the line at 1, and how many bands held."""
        ratios = self.predicted[self.points] / self.measured[self.points]
        measured = self.measured[self.points] / self.unit.size
        layout = {"xaxis": log_axis(f"measured {self.name}, {self.unit.symbol}", measured)}
        return View(list(self._traces()), self._summary(ratios), layout)

    def _summary(self, ratios: Floats) -> str:
        import numpy as np

        off = np.abs(ratios - 1)
        told = (
            f"Off by {_percent(float(np.median(off)))} in the median and "
            f"{_percent(float(off.max()))} at worst."
        )
        banded = self.points[~np.isnan(self.low[self.points] + self.high[self.points])]
        if not len(banded):
            return f"{told} These predictions have no bands."
        held = len(banded) - int(self._missed(banded).sum())
        return f"{told} {held:,} of {len(banded):,} measurements lie within the predicted band."

    def _missed(self, points: Codes) -> NDArray[np.bool_]:
        """Where the measurement lies outside the band; not where there is no band."""
        measured = self.measured[points]
        missed: NDArray[np.bool_] = (self.low[points] > measured) | (measured > self.high[points])
        return missed

    def _traces(self) -> Iterator[Trace]:
        codes = self.rows.form.codes[self.points]
        for code, form in enumerate(self.rows.form.labels):
            points = self.points[codes == code]
            if len(points):
                yield self._of_form(form, points)

    def _of_form(self, form: str, points: Codes) -> Trace:
        import numpy as np

        look, measured = self.looks[form], self.measured[points]
        symbols = ["x" if missed else look.symbol for missed in self._missed(points)]
        ratio, low, high = (
            values[points] / measured for values in (self.predicted, self.low, self.high)
        )
        trace: Trace = {
            "type": "scatter",
            "mode": "markers",
            "name": chart_text(form),
            "x": short_numbers(measured / self.unit.size),
            "y": short_numbers(ratio),
            "marker": {"color": look.color, "symbol": symbols, "size": 8},
            "hovertemplate": f"measured %{{x:.4~g}} {self.unit.symbol}<br>predicted %{{y:.3f}} times",
        }
        if len(self.points) > MOST_BARS:
            return trace | {"type": "scattergl", "marker": trace["marker"] | {"size": 5}}
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": short_numbers(np.nan_to_num(high - ratio).clip(0)),
            "arrayminus": short_numbers(np.nan_to_num(ratio - low).clip(0)),
            "thickness": 1,
            "width": 3,
        }
        return trace


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share >= 1e-4 else "less than 0.01 %"
