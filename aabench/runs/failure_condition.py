"""The failure condition: what a comparison must not show, as written after ``--fail-if``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aabench.errors import UnknownName, UsageError
from aabench.measuring.latency_comparison import Verdict
from aabench.runs.comparison import BOTH

if TYPE_CHECKING:
    import pandas as pd

RATIO_OF = {
    "latency": "latency_ratio",
    "peak": "peak_ratio",
    "step-peak": "step_peak_ratio",
}
"""The figures that a condition may be on, and the columns of their ratios B / A."""

EXAMPLE = "FIGURE>PERCENT, such as 'peak>5%' or 'latency>10%'"

_CONDITION = re.compile(r"\s*([a-z-]+)\s*>\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")
_PERCENTAGE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class FailureCondition:
    """A bound on how much more B may take than A.

    Attributes:
        figure: one of ``RATIO_OF``.
        limit: the relative increase that is still allowed, 0.05 for 5 %.
    """

    figure: str
    limit: float

    @classmethod
    def of(cls, text: str) -> FailureCondition:
        """Read ``peak>5%``.

        Raises:
            UsageError: not of this shape, or on another figure.
        """
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise UsageError(
                "--fail-if: not a condition",
                got=text,
                allowed=EXAMPLE,
                instead="quote it, or the shell takes > for a file",
            )
        if match[1] not in RATIO_OF:
            raise UnknownName("figure in --fail-if", match[1], RATIO_OF)
        return cls(match[1], float(match[2]) / 100)

    def __str__(self) -> str:
        return f"{self.figure}>{100 * self.limit:g}%"

    def failing(self, frame: pd.DataFrame) -> pd.Series[bool]:
        """Which cases of a comparison fail it.

        A latency fails only with the verdict slower. What A measured and B tried and could not fails
        every condition: a gate must not open because nothing ran.
        """
        exceeds = frame[RATIO_OF[self.figure]] > 1 + self.limit
        if self.figure == "latency":
            exceeds &= frame["verdict"] == Verdict.SLOWER.value
        return exceeds | lost(frame)


def lost(frame: pd.DataFrame) -> pd.Series[bool]:
    """Which cases A measured and B did not, though they are in both runs."""
    in_both = frame["found_in"] == BOTH
    return in_both & (frame["status_a"] == "ok") & (frame["status_b"] != "ok")


def percentage(text: str, flag: str) -> float:
    """The share that ``5%`` means.

    Raises:
        UsageError: not a percentage.
    """
    match = _PERCENTAGE.fullmatch(text)
    if match is None:
        raise UsageError(f"{flag}: not a percentage", got=text, allowed="such as 5% or 2.5%")
    return float(match[1]) / 100
