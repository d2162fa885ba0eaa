"""The trade-off chart: memory against latency of every way to do the same work, with the Pareto front."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aabench.report.page.chart import Chart, Choice, LeftOut, Trace, View, log_axis
from aabench.report.page.chart_text import chart_text
from aabench.report.page.coded_axis import CodedAxis, row_groups
from aabench.report.page.form_look import INK, FormLook, form_looks
from aabench.report.page.page_rows import PageRows
from aabench.report.page.short_numbers import short_numbers
from aabench.report.quantities import BYTES, SECONDS, Unit, common_unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Floats = NDArray[np.float64]

TITLE = "Memory against latency"
READING = (
    "Each mark is one way to do the same work, better to the lower left: those with a ring are the Pareto "
    "front, and nothing here takes less memory than they do without taking more time."
)

WAYS = frozenset(
    {
        "layer",
        "heads",
        "kappa",
        "dk",
        "upsilon",
        "dv",
        "position",
        "downsample",
        "augment",
        "compile",
        "memory_format",
        "run",
    }
)
"""Axes along which one chooses freely; the others say what work there is to do."""


def memory_against_latency(rows: PageRows) -> Chart | LeftOut:
    """One mark a row, among rows that do the same work: the same input, batch, mode and so on."""
    shown = (rows.peak.is_known & rows.latency.is_known & rows.can_answer).nonzero()[0]
    if not len(shown):
        return LeftOut(TITLE, "no row has both a peak and a latency")
    work = [axis for axis in rows.axes if axis.name not in WAYS]
    ways = [axis for axis in rows.axes if axis.name in WAYS]
    groups = row_groups(work, shown)
    if all(len(members) < 2 for members in groups.values()):
        return LeftOut(TITLE, "no two rows do the same work in different ways")
    memory = common_unit(rows.peak.value[shown].tolist(), BYTES) or BYTES.units[-4]
    time = common_unit(rows.latency.value[shown].tolist(), SECONDS) or SECONDS.units[-2]
    marks = _Marks(rows, ways, memory, time, form_looks(rows.form.labels))
    views = {key: marks.view(members) for key, members in groups.items()}
    return Chart(
        key="trade-off",
        title=TITLE,
        reading=READING,
        views=views,
        choices=[Choice(axis.head, axis.labels) for axis in work],
        start=max(groups, key=lambda key: (len(groups[key]), rows.peak.value[groups[key]].max())),
        budget_axis="x",
        budget_unit_bytes=memory.size,
    )


def pareto_front(first: Floats, second: Floats) -> Codes:
    """The places where no other point has less of one without having more of the other.

    Ordered by the first figure, ascending; of equal points the first one.
    """
    import numpy as np

    order = np.lexsort((second, first))
    best = np.minimum.accumulate(second[order])
    is_better = np.r_[True, best[1:] < best[:-1]]
    front: Codes = order[is_better]
    return front


@dataclass(frozen=True, eq=False)
class _Marks:
    """The marks of the trade-off chart."""

    rows: PageRows
    ways: Sequence[CodedAxis]
    memory: Unit
    time: Unit
    looks: Mapping[str, FormLook]

    def view(self, members: Codes) -> View:
        """The marks of some rows and their front."""
        front = members[pareto_front(self._bytes(members), self._seconds(members))]
        mixed = self.rows.latency.is_predicted[members]
        note = ""
        if mixed.any() and not mixed.all():
            note = "Some times are predicted (open marks), others measured: compare them with care."
        layout = {
            "xaxis": log_axis(f"peak memory, {self.memory.symbol}", self._bytes(members)),
            "yaxis": log_axis(f"time of one step, {self.time.symbol}", self._seconds(members)),
        }
        return View([self._front(front), *self._traces(members)], note, layout)

    def _traces(self, members: Codes) -> Iterator[Trace]:
        codes = self.rows.form.codes[members]
        for code, form in enumerate(self.rows.form.labels):
            points = members[codes == code]
            if len(points):
                yield self._of_form(form, points)

    def _of_form(self, form: str, points: Codes) -> Trace:
        look = self.looks[form]
        is_predicted = self.rows.peak.is_predicted | self.rows.latency.is_predicted
        symbols = [look.symbol + ("-open" if each else "") for each in is_predicted[points]]
        return {
            "type": "scatter",
            "mode": "markers",
            "name": chart_text(form),
            "x": short_numbers(self._bytes(points)),
            "y": short_numbers(self._seconds(points)),
            "marker": {"color": look.color, "symbol": symbols, "size": 10},
            "text": [self._way(row) for row in points.tolist()],
            "hovertemplate": f"%{{text}}<br>%{{x:.4~g}} {self.memory.symbol}, "
            f"%{{y:.4~g}} {self.time.symbol}",
        }

    def _front(self, points: Codes) -> Trace:
        return {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "Pareto front",
            "x": short_numbers(self._bytes(points)),
            "y": short_numbers(self._seconds(points)),
            "line": {"color": INK, "width": 1, "shape": "hv"},
            "marker": {"color": INK, "symbol": "circle-open", "size": 18},
            "hoverinfo": "skip",
        }

    def _way(self, row: int) -> str:
        """What tells this row from the others in its view."""
        told = [f"{axis.head} {axis.labels[axis.codes[row]]}" for axis in self.ways]
        return chart_text(", ".join(told))

    def _bytes(self, points: Codes) -> Floats:
        values: Floats = self.rows.peak.value[points] / self.memory.size
        return values

    def _seconds(self, points: Codes) -> Floats:
        values: Floats = self.rows.latency.value[points] / self.time.size
        return values
