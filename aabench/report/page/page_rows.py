"""The rows of a page: the results of one run or several, with what every picture asks about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aabench.report.axis_text import AXES, AxisText, swept_axes
from aabench.report.digest import independent_axes
from aabench.report.figure_columns import figures, peak_bytes
from aabench.report.page.coded_axis import CodedAxis, coded_axis
from aabench.report.quantities import EMPTY
from aabench.report.side_by_side import side_by_side
from aabench.report.statuses import shown_status

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Switches = NDArray[np.bool_]

NO_ANSWER = frozenset({"unsupported", "invalid", "wrong", "crashed"})
"""Rows of these have nothing to say on whether the case fits: it cannot run, or not rightly."""

BY_THEMSELVES = ("device",)
"""Axes that nobody chooses: cases that several devices shared among them."""


@dataclass(frozen=True, eq=False)
class Band:
    """A figure of every row; NaN where it is not known.

    Attributes:
        value: as measured, or else as predicted.
        low: lower end of the measurement's interval or of the prediction's band.
        high: upper end of it.
        is_predicted: where it is predicted.
    """

    value: Floats
    low: Floats
    high: Floats
    is_predicted: Switches

    @property
    def is_known(self) -> Switches:
        """Where there is a value."""
        import numpy as np

        known: Switches = ~np.isnan(self.value)
        return known


@dataclass(frozen=True, eq=False)
class PageRows:
    """All rows.

    Attributes:
        frame: with the columns of the results schema and, of several runs, ``run``; numbered from 0.
        status: as shown, per row.
        swept: the axes that differ, as the terminal's tables have them.
        axes: of these, those that are chosen independently of others.
        form: the attention form of every row.
        peak: bytes. A measured peak is exact: its low and high are itself.
        latency: seconds; with the 95 % interval of the median where it was measured.
        can_answer: rows that say whether their case fits a budget.
    """

    frame: pd.DataFrame
    status: pd.Series[str]
    swept: tuple[AxisText, ...]
    axes: tuple[CodedAxis, ...]
    form: CodedAxis
    peak: Band
    latency: Band
    can_answer: Switches

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def of(cls, frames: Sequence[pd.DataFrame]) -> PageRows:
        """The rows of some runs; those of several are told apart by the axis ``run``."""
        frame = side_by_side(frames).reset_index(drop=True)
        status = shown_status(frame)
        swept = tuple(swept_axes(frame))
        peak = _peaks(frame)
        axes = [axis for axis in independent_axes(frame, swept) if axis.name not in BY_THEMSELVES]
        return cls(
            frame=frame,
            status=status,
            swept=swept,
            axes=tuple(coded_axis(frame, axis) for axis in axes if axis.name != "attention"),
            form=_form(frame),
            peak=peak,
            latency=_latencies(frame),
            can_answer=peak.is_known & ~status.isin(NO_ANSWER).to_numpy(),
        )

    def axis(self, name: str) -> CodedAxis | None:
        """One of the swept axes; None if it is the same in all rows."""
        return next((axis for axis in self.axes if axis.name == name), None)


def _form(frame: pd.DataFrame) -> CodedAxis:
    import numpy as np

    if "attention" in frame.columns:
        return coded_axis(frame, _FORM)
    return CodedAxis("attention", "attention", (EMPTY,), np.zeros(len(frame), np.int64), False)


_FORM = replace(next(axis for axis in AXES if axis.name == "attention"), cell=lambda form: form)
"""The attention form by its bare name."""


def _peaks(frame: pd.DataFrame) -> Band:
    import numpy as np

    value, is_predicted = peak_bytes(frame)
    ends = [
        np.where(is_predicted, figures(frame, f"predicted_peak_{end}_bytes"), value)
        for end in ("low", "high")
    ]
    low, high = (np.where(np.isnan(end), value, end) for end in ends)
    return Band(value, low, high, is_predicted)


def _latencies(frame: pd.DataFrame) -> Band:
    import numpy as np

    measured = figures(frame, "latency_median_s")
    predicted = figures(frame, "predicted_latency_s")
    is_predicted = np.isnan(measured) & ~np.isnan(predicted)
    low, high = (
        np.where(
            is_predicted,
            figures(frame, f"predicted_latency_{end}_s"),
            figures(frame, f"latency_ci_{end}_s"),
        )
        for end in ("low", "high")
    )
    return Band(np.where(is_predicted, predicted, measured), low, high, is_predicted)
