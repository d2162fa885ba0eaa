"""Results prepared for print: the rows with what every part of a report asks about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aabench.report.axis_text import AxisText, swept_axes
from aabench.report.statuses import shown_status

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Results:
    """A results table prepared for print.

    Attributes:
        frame: the rows, numbered from 0.
        status: what each row's status is shown as.
        swept: the axes that differ between rows.
        has_mixed_status: whether the rows of the run differ in their status.
        width: terminal cells to fill.
    """

    frame: pd.DataFrame
    status: pd.Series[str]
    swept: tuple[AxisText, ...]
    has_mixed_status: bool
    width: int

    @classmethod
    def of(cls, frame: pd.DataFrame, width: int) -> Results:
        """Prepare a frame with the columns of the results schema; any of them may be absent."""
        rows = frame.reset_index(drop=True)
        status = shown_status(rows)
        return cls(rows, status, tuple(swept_axes(rows)), status.nunique() > 1, width)

    def at(self, positions: Sequence[int]) -> Results:
        """Only some rows of the same run, still told apart by what differs in all of it."""
        frame = self.frame.iloc[list(positions)].reset_index(drop=True)
        status = self.status.iloc[list(positions)].reset_index(drop=True)
        return replace(self, frame=frame, status=status)
