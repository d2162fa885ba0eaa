"""The heat map: peak memory over two axes that the reader chooses, all others held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aabench.report.page.chart import LeftOut
from aabench.report.page.coded_axis import CodedAxis
from aabench.report.page.page_rows import PageRows

TITLE = "Peak memory over two axes"
READING = (
    "Each cell is one case, darker for more memory; the thick line is the budget's boundary, beyond "
    "which cells do not fit or are too close to tell, and a cell that names a status has no measurement."
)


@dataclass(frozen=True, eq=False)
class HeatMap:
    """The axes that can be chosen; the page's script picks the cells out of the page's rows.

    Attributes:
        axes: at least two.
        across: the place of the axis to begin with along x.
        down: the place of the one along y.
        start: the places of the values at which the others are held to begin with.
    """

    axes: tuple[CodedAxis, ...]
    across: int
    down: int
    start: tuple[int, ...]

    title = TITLE
    reading = READING

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "axes": [axis.to_dict() for axis in self.axes],
            "across": self.across,
            "down": self.down,
            "start": list(self.start),
        }


def peak_over_two_axes(rows: PageRows) -> HeatMap | LeftOut:
    """A heat map over any two axes that differ; resolution and heads, where they do, to begin with."""
    axes = rows.axes
    if len(rows.form.labels) > 1:
        axes = (*axes, rows.form)
    if len(axes) < 2:
        return LeftOut(TITLE, "fewer than two axes differ between the rows")
    if not rows.peak.is_known.any():
        return LeftOut(TITLE, "no row has a peak memory, measured or predicted")
    wanted = ("resolution", "heads", "batch", "kappa", "dk", "upsilon", "dv")
    places = sorted(range(len(axes)), key=lambda place: _rank(axes[place].name, wanted))
    across, down = places[:2]
    return HeatMap(axes, across, down, _start(rows, axes))


def _start(rows: PageRows, axes: tuple[CodedAxis, ...]) -> tuple[int, ...]:
    """The most demanding case, where the wall is."""
    import numpy as np

    most = int(np.nanargmax(rows.peak.value))
    return tuple(int(axis.codes[most]) for axis in axes)


def _rank(name: str, wanted: tuple[str, ...]) -> int:
    return wanted.index(name) if name in wanted else len(wanted)
