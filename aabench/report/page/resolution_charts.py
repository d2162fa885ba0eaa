"""The charts over resolution: what every attention form takes as its input grows, in bytes and seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aabench.report.figure_columns import figures
from aabench.report.page.chart import Chart, Choice, LeftOut, Trace, View, log_axis
from aabench.report.page.chart_text import chart_text
from aabench.report.page.coded_axis import CodedAxis, row_groups
from aabench.report.page.form_look import FormLook, form_looks
from aabench.report.page.page_rows import Band, PageRows
from aabench.report.page.short_numbers import short_numbers
from aabench.report.quantities import BYTES, SECONDS, Scale, Unit, common_unit
from aabench.report.statuses import TOO_LARGE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Floats = NDArray[np.float64]

MOST_TICKS = 12


@dataclass(frozen=True, slots=True)
class _Quantity:
    """What is drawn over resolution."""

    key: str
    title: str
    name: str
    scale: Scale
    reading: str


MEMORY = _Quantity(
    key="memory",
    title="Peak memory over resolution",
    name="peak memory",
    scale=BYTES,
    reading="Each line is one attention form, and what lies above a budget's line does not fit it: filled "
    "marks are measured, open ones predicted with their band, crosses cases too large for this machine, "
    "at their predicted peak.",
)
LATENCY = _Quantity(
    key="latency",
    title="Latency over resolution",
    name="time of one step",
    scale=SECONDS,
    reading="Each line is one attention form, lower is faster: filled marks are measured medians with "
    "their 95 % interval, open ones predictions with their band, crosses predictions of cases too large "
    "for this machine.",
)


def memory_over_resolution(rows: PageRows) -> Chart | LeftOut:
    """Peak memory over resolution, one line a form, for lines of budgets to be drawn in."""
    return _over_resolution(rows, rows.peak, MEMORY)


def latency_over_resolution(rows: PageRows) -> Chart | LeftOut:
    """The latency of one step over resolution, one line a form."""
    return _over_resolution(rows, rows.latency, LATENCY)


def _over_resolution(rows: PageRows, band: Band, quantity: _Quantity) -> Chart | LeftOut:
    resolution = rows.axis("resolution")
    if resolution is None:
        return LeftOut(quantity.title, "all rows have one and the same resolution")
    shown = band.is_known.nonzero()[0]
    if not len(shown):
        return LeftOut(quantity.title, f"no row has a {quantity.name}, measured or predicted")
    unit = common_unit(band.value[shown].tolist(), quantity.scale) or quantity.scale.units[-2]
    others = [axis for axis in rows.axes if axis is not resolution]
    lines = _Lines(
        quantity.name, rows, band, resolution, _sides(rows), unit, form_looks(rows.form.labels)
    )
    groups = row_groups(others, shown)
    return Chart(
        key=quantity.key,
        title=quantity.title,
        reading=quantity.reading,
        views={key: lines.view(members) for key, members in groups.items()},
        choices=[Choice(axis.head, axis.labels) for axis in others],
        layout={"xaxis": _side_axis(resolution, lines.sides)},
        start=max(groups, key=lambda key: _interest(band.value[groups[key]])),
        budget_axis="y" if quantity is MEMORY else "",
        budget_unit_bytes=unit.size,
    )


def _interest(values: Floats) -> tuple[bool, float]:
    """What to begin with: the most demanding view of those in which there is a line to see."""
    return len(values) > 1, float(values.max())


def _sides(rows: PageRows) -> Floats:
    """The side of the square that has as many pixels as each row's input."""
    import numpy as np

    sides: Floats = np.sqrt(figures(rows.frame, "height") * figures(rows.frame, "width"))
    return sides


def _side_axis(resolution: CodedAxis, sides: Floats) -> dict[str, Any]:
    import numpy as np

    _, first = np.unique(resolution.codes, return_index=True)
    step = -(-len(first) // MOST_TICKS)
    return {
        "type": "log",
        "title": {"text": "input height x width, pixels"},
        "tickvals": sides[first][::step].tolist(),
        "ticktext": [chart_text(label) for label in resolution.labels[::step]],
    }


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines of a chart over resolution."""

    name: str
    rows: PageRows
    band: Band
    resolution: CodedAxis
    sides: Floats
    unit: Unit
    looks: Mapping[str, FormLook]

    def view(self, members: Codes) -> View:
        """The lines through some rows."""
        status = self.rows.status.to_numpy()[members]
        counts = {name: int((status == name).sum()) for name in TOO_LARGE}
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        note = f"Too large for this machine, drawn where predicted: {told}." if told else ""
        amounts = self.band.value[members] / self.unit.size
        axis = log_axis(f"{self.name}, {self.unit.symbol}", amounts)
        return View(list(self._traces(members)), note, {"yaxis": axis})

    def _traces(self, members: Codes) -> Iterator[Trace]:
        import numpy as np

        codes = self.rows.form.codes[members]
        for code, form in enumerate(self.rows.form.labels):
            of_form = members[codes == code]
            if len(of_form):
                points = of_form[np.argsort(self.sides[of_form], kind="stable")]
                yield self._line(form, points)

    def _line(self, form: str, points: Codes) -> Trace:
        look, status = self.looks[form], self.rows.status.to_numpy()[points].tolist()
        symbols = [
            "x" if name in TOO_LARGE else look.symbol + ("-open" if predicted else "")
            for name, predicted in zip(status, self.band.is_predicted[points], strict=True)
        ]
        places = self.resolution.codes[points].tolist()
        said = [
            chart_text(f"{self.resolution.labels[place]}, {name}")
            for place, name in zip(places, status, strict=True)
        ]
        return {
            "type": "scatter",
            "mode": "lines+markers",
            "name": chart_text(form),
            "x": short_numbers(self.sides[points]),
            "y": short_numbers(self.band.value[points] / self.unit.size),
            "line": {"color": look.color, "dash": look.dash, "width": 2},
            "marker": {"color": look.color, "symbol": symbols, "size": 9},
            "text": said,
            "hovertemplate": f"%{{text}}<br>%{{y:.4~g}} {self.unit.symbol}",
            "error_y": error_bars(self.band, points, self.unit.size),
        }


def error_bars(band: Band, points: Codes, unit_size: float) -> dict[str, Any]:
    """From each value to its ends, by Plotly's schema; nothing where the ends are not known."""
    import numpy as np

    above = np.nan_to_num((band.high - band.value)[points] / unit_size).clip(0)
    below = np.nan_to_num((band.value - band.low)[points] / unit_size).clip(0)
    return {
        "type": "data",
        "symmetric": False,
        "array": short_numbers(above),
        "arrayminus": short_numbers(below),
        "thickness": 1,
        "width": 5,
        "visible": bool(above.any() or below.any()),
    }
