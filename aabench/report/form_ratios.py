"""What each attention form costs beside `materialized`: ratios of rows that differ in the form alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from aabench.report.aligned_text import TextColumn
from aabench.report.axis_text import AXES, axis_column
from aabench.report.digest import RATIO_OF
from aabench.report.doubtful_times import DOUBTFUL, MEANING, marked, noisy_times
from aabench.report.figure_columns import figures
from aabench.report.quantities import EMPTY, ratio_text
from aabench.report.results import Results
from aabench.report.statuses import MEASURED, status_style

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "materialized"
"""What people have today; every other form is set beside it."""

TIME = "time"
MEMORY = "step peak"

UNCLEAR = "≈"
"""Stands before a ratio of times whose 95 % confidence intervals overlap."""


class Comparison(NamedTuple):
    """One row of a run beside the baseline's row of the same setting.

    Attributes:
        row: its position in the frame.
        status: of the row itself.
        time: ratio of ``latency_median_s``; NaN where either is missing, as for memory.
        memory: ratio of ``step_peak_bytes``.
        is_unclear: whether the confidence intervals of the two times overlap.
        is_doubtful: whether either of the two times is noisy.
    """

    row: int
    status: str
    time: float
    memory: float
    is_unclear: bool
    is_doubtful: bool

    def ratio(self, group: str) -> float:
        """The ratio of one of the groups ``TIME`` and ``MEMORY``."""
        return self.time if group == TIME else self.memory


@dataclass(frozen=True)
class FormRatios:
    """The forms of a run beside the baseline.

    Attributes:
        results: the run.
        settings: what the forms are compared in: a number for each combination of the other axes
            that has a ratio, in the order of the run.
        forms: those that have a ratio, in the order of the run.
        comparisons: by setting and form.
        unmeasured: the forms that have no ratio at all, with their statuses.
        without_baseline: settings in which other forms have figures and the baseline has none.
    """

    results: Results
    settings: Sequence[int]
    forms: Sequence[str]
    comparisons: Mapping[tuple[int, str], Comparison]
    unmeasured: Mapping[str, Sequence[str]]
    without_baseline: int

    def table(self) -> list[TextColumn]:
        """One row per setting: its axes, then a column per form in each of the two groups."""
        ratios = [self._column(form, group) for group in (TIME, MEMORY) for form in self.forms]
        return [*self._axes(), *ratios]

    def summary(self) -> list[TextColumn]:
        """One row per form: in how many settings it has a ratio, their median and their range."""
        columns = [TextColumn("attention", "attention", self.forms)]
        for group in (TIME, MEMORY):
            ratios = [self._known(form, group) for form in self.forms]
            cells = {
                "settings": [f"{len(each):,}" for each in ratios],
                "median": [ratio_text(_median(each)) for each in ratios],
                "range": [_range(each) for each in ratios],
            }
            columns += [
                TextColumn(f"{head} {group}", head, texts, right=True, group=group)
                for head, texts in cells.items()
            ]
        return columns

    def legend(self, shown: Sequence[TextColumn]) -> str:
        """How to read the columns that are shown, and what is not there."""
        meanings = [f"rows that differ in the form alone; below 1x is less than {BASELINE}"]
        if any(cell.startswith(UNCLEAR) for column in shown for cell in column.cells):
            meanings.append(f"{UNCLEAR} their 95 % confidence intervals overlap")
        if any(cell.endswith(DOUBTFUL) for column in shown for cell in column.cells):
            meanings.append(MEANING)
        if self.without_baseline:
            settings = "setting" if self.without_baseline == 1 else "settings"
            meanings.append(
                f"{self.without_baseline:,} {settings} without figures of {BASELINE} left out"
            )
        meanings += [
            f"{form} has none: {', '.join(statuses)}" for form, statuses in self.unmeasured.items()
        ]
        return "; ".join(meanings)

    def _axes(self) -> list[TextColumn]:
        """The axes that tell the settings apart, without depths that follow from a ratio."""
        rows: dict[int, int] = {}
        for (setting, _), each in self.comparisons.items():
            rows.setdefault(setting, each.row)
        frame = self.results.frame.loc[[rows[setting] for setting in self.settings]]
        swept = {axis.name for axis in self.results.swept}
        columns = [
            axis_column(frame, axis)
            for axis in self.results.swept
            if axis.name != "attention" and RATIO_OF.get(axis.name) not in swept
        ]
        return [column for column in columns if len(set(column.cells)) > 1]

    def _column(self, form: str, group: str) -> TextColumn:
        found = [_cell(self.comparisons.get((setting, form)), group) for setting in self.settings]
        cells, styles = zip(*found, strict=True)
        if group == TIME:
            each = (self.comparisons.get((setting, form)) for setting in self.settings)
            cells = tuple(marked(cells, (one is not None and one.is_doubtful for one in each)))
        return TextColumn(f"{form} {group}", form, cells, right=True, group=group, styles=styles)

    def _known(self, form: str, group: str) -> list[float]:
        found = (self.comparisons.get((setting, form)) for setting in self.settings)
        ratios = [each.ratio(group) for each in found if each is not None]
        return [ratio for ratio in ratios if not math.isnan(ratio)]


def form_ratios(results: Results) -> FormRatios | None:
    """The ratios of every form to the baseline; None where no row has one.

    Both figures are measured: nothing that was only predicted takes part.
    """
    frame = results.frame
    if "attention" not in frame.columns or BASELINE not in set(frame["attention"]):
        return None
    rows = _beside_baseline(frame, results.status)
    has_ratio = rows["time"].notna() | rows["memory"].notna()
    if not has_ratio.any():
        return None
    settings = [int(each) for each in rows["setting"][has_ratio].unique()]
    forms = [str(each) for each in rows["attention"][has_ratio].unique()]
    others = rows[~rows["attention"].isin(forms)]
    return FormRatios(
        results,
        settings,
        forms,
        _comparisons(rows[rows["setting"].isin(settings)]),
        {
            str(form): [str(status) for status in group.unique()]
            for form, group in others.groupby("attention", sort=False)["status"]
        },
        int(rows["setting"][rows["has_gap"]].nunique()),
    )


def _beside_baseline(frame: pd.DataFrame, status: pd.Series[str]) -> pd.DataFrame:
    """One row per setting and form other than the baseline: the fields of ``Comparison``.

    Beside them ``setting``, ``attention``, and ``has_gap``: the row has figures where the baseline
    has none.
    """
    import pandas as pd

    is_form = frame["attention"].notna() & (frame["attention"] != "none") & (status != "invalid")
    frame = frame[is_form]
    axes = [axis for axis in AXES if axis.name != "attention"]
    keys = [name for axis in axes for name in axis.columns if name in frame.columns]
    rows = pd.DataFrame(
        {
            "row": frame.index,
            "setting": frame.groupby(keys, sort=False, dropna=False).ngroup() if keys else 0,
            "attention": frame["attention"].astype(str),
            "status": status[is_form],
            "latency": figures(frame, "latency_median_s"),
            "low": figures(frame, "latency_ci_low_s"),
            "high": figures(frame, "latency_ci_high_s"),
            "peak": figures(frame, "step_peak_bytes"),
            "is_noisy": noisy_times(frame),
        }
    ).drop_duplicates(["setting", "attention"])
    # A row that failed in a later round still has the figures of the earlier ones.
    measured = ["latency", "low", "high", "peak"]
    rows[measured] = rows[measured].where(rows["status"] == "ok")
    baseline = rows[rows["attention"] == BASELINE].set_index("setting")
    others = rows[rows["attention"] != BASELINE].reset_index(drop=True)
    theirs = baseline.reindex(others["setting"]).reset_index(drop=True)
    others["time"] = others["latency"] / theirs["latency"]
    others["memory"] = others["peak"] / theirs["peak"].where(theirs["peak"] > 0)
    overlap = (others["low"] <= theirs["high"]) & (theirs["low"] <= others["high"])
    has_time = others["time"].notna()
    others["is_unclear"] = overlap & has_time
    others["is_doubtful"] = (others["is_noisy"] | theirs["is_noisy"].eq(True)) & has_time
    ran = others["latency"].notna() | others["peak"].notna()
    others["has_gap"] = ran & theirs["latency"].isna() & theirs["peak"].isna()
    return others


def _comparisons(rows: pd.DataFrame) -> dict[tuple[int, str], Comparison]:
    fields = rows[list(Comparison._fields)].itertuples(index=False, name=None)
    places = zip(rows["setting"].tolist(), rows["attention"].tolist(), strict=True)
    return {place: Comparison(*values) for place, values in zip(places, fields, strict=True)}


def _cell(comparison: Comparison | None, group: str) -> tuple[str, str]:
    """The text of a cell and its style: a ratio, or why there is none."""
    if comparison is None:
        return EMPTY, ""
    if comparison.status not in MEASURED:
        return comparison.status or EMPTY, status_style(comparison.status)
    ratio = comparison.ratio(group)
    if group == TIME and comparison.is_unclear:
        return UNCLEAR + ratio_text(ratio), "dim"
    return ratio_text(ratio), "green" if ratio < 1 else ""


def _median(values: Sequence[float]) -> float | None:
    import numpy as np

    return float(np.median(values)) if values else None


def _range(values: Sequence[float]) -> str:
    if not values:
        return EMPTY
    smallest, largest = ratio_text(min(values)), ratio_text(max(values))
    return smallest if smallest == largest else f"{smallest}–{largest}"
