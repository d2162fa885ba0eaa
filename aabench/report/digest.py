"""The digest of a run: what each attention form costs, where its wall is, medians and extremes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aabench.report.aligned_text import TextColumn
from aabench.report.axis_text import AxisText, axis_column, case_phrase
from aabench.report.doubtful_times import doubtful_ratios, marked
from aabench.report.figure_columns import COMPARISON, figure_columns, figures, peak_bytes
from aabench.report.quantities import ratio_text
from aabench.report.side_by_side import RUN
from aabench.report.statuses import MEASURED, TOO_LARGE

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 12
"""Values of one axis that the medians list; of more, the first and the last ones."""

RATIO_OF = {"dk": "kappa", "dv": "upsilon"}
"""Depths and the ratios that they may follow from."""

MEDIANS = (
    "latency_median_s",
    "peak_allocated_bytes",
    "predicted_peak_bytes",
    "flops",
    "latency_ratio",
    "peak_ratio",
)
"""What medians are taken of."""


def form_columns(
    frame: pd.DataFrame, status: pd.Series[str], swept: Sequence[AxisText]
) -> list[TextColumn]:
    """One row per attention form: how much of it ran, its range against the convolution, its wall.

    Of several runs each has its own rows. No columns where no form has anything to say.
    """
    if "attention" not in frame.columns:
        return []
    keys = [name for name in (RUN, "attention") if name in frame.columns]
    possible = frame[(status != "invalid") & (frame["attention"] != "none")]
    names = list(possible[keys].dropna().drop_duplicates().itertuples(index=False, name=None))
    groups = dict(iter(frame.groupby(keys, sort=False)))
    others = [axis for axis in swept if axis.name not in keys]
    rows = [_form_row(groups[name], status, others) for name in names]
    if not any(time or memory or wall for _, time, memory, wall in rows):
        return []
    ran, times, memories, walls = zip(*rows, strict=True)
    columns = [
        *_name_columns(keys, names),
        TextColumn("ran", "ran", ran, right=True),
        TextColumn("range of time", "time", times, right=True, group=COMPARISON),
        TextColumn("range of memory", "memory", memories, right=True, group=COMPARISON),
        TextColumn("wall", "too large from", walls, styles=["red"] * len(walls)),
    ]
    return [column for column in columns if any(column.cells)]


def _name_columns(keys: Sequence[str], names: Sequence[tuple[str, ...]]) -> list[TextColumn]:
    columns = zip(*names, strict=True)
    return [TextColumn(key, key, cells) for key, cells in zip(keys, columns, strict=True)]


def median_columns(frame: pd.DataFrame, swept: Sequence[AxisText]) -> tuple[list[TextColumn], bool]:
    """One row per value of each swept axis: how many rows have figures, and their medians.

    Large cases fail first, so the medians of what is left would make the most demanding value of an
    axis look cheap. They are therefore taken over the settings that ran with every value.

    Returns:
        The columns, and whether that could not be done for some axis, which then has a star.
    """
    import pandas as pd

    axes = independent_axes(frame, swept)
    names: list[str] = []
    values: list[str] = []
    parts: list[pd.DataFrame] = []
    for axis in axes:
        rows = _matched(frame, axis, axes)
        star = "" if len(rows) else "*"
        medians = _medians(rows if len(rows) else frame, axis)
        shown = _ends(medians)
        if shown.empty:  # nothing ran: a plan, or a run whose rows all failed
            continue
        names += [axis.head + star, *[""] * (len(shown) - 1)]
        if len(shown) < len(medians):
            names[1 - len(shown)] = f"{len(shown)} of {len(medians):,}"
        values += axis_column(shown, axis).cells
        parts.append(shown)
    if not parts:
        return [], False
    table = pd.concat(parts, ignore_index=True)
    columns = [
        TextColumn("axis", "axis", names),
        TextColumn("value", "value", values),
        TextColumn("rows", "rows", [f"{count:,}" for count in table["rows"]], right=True),
        *figure_columns(table),
    ]
    return columns, any(name.endswith("*") for name in names)


def extreme_rows(frame: pd.DataFrame) -> dict[str, int]:
    """The positions of the rows to point at, by what they are: fastest, smallest, and so on."""
    import numpy as np

    sought = {
        "fastest": -figures(frame, "latency_median_s"),
        "smallest": -peak_bytes(frame)[0],
        f"slowest {COMPARISON}": figures(frame, "latency_ratio"),
        f"largest {COMPARISON}": figures(frame, "peak_ratio"),
    }
    return {
        name: int(np.nanargmax(values))
        for name, values in sought.items()
        if not np.isnan(values).all()
    }


def independent_axes(frame: pd.DataFrame, swept: Sequence[AxisText]) -> list[AxisText]:
    """The swept axes without depths that only follow from a ratio."""
    derived = {
        depth
        for depth, ratio in RATIO_OF.items()
        if ratio in frame.columns and frame[ratio].notna().any()
    }
    return [axis for axis in swept if axis.name not in derived]


def _matched(frame: pd.DataFrame, axis: AxisText, axes: Sequence[AxisText]) -> pd.DataFrame:
    """The rows whose other axis values occur with every value of this axis."""
    keys = [column for other in axes if other != axis for column in other.columns]
    if not keys:
        return frame
    needed = len(frame[list(axis.columns)].drop_duplicates())
    counts = frame.groupby(keys, sort=False, dropna=False)[axis.columns[0]].transform("size")
    return frame[counts >= needed]


def _medians(frame: pd.DataFrame, axis: AxisText) -> pd.DataFrame:
    """The medians and the number of rows for each value of an axis, in order of appearance."""
    import pandas as pd

    present = [name for name in MEDIANS if name in frame.columns]
    numbers = pd.DataFrame({name: figures(frame, name) for name in present}, index=frame.index)
    groups = numbers.groupby([frame[column] for column in axis.columns], sort=False)
    return groups.median().assign(rows=groups.size()).reset_index()


def _ends(values: pd.DataFrame) -> pd.DataFrame:
    """All rows, or the first and the last ones of many."""
    import pandas as pd

    if len(values) <= MOST_VALUES:
        return values
    half = MOST_VALUES // 2
    return pd.concat([values[:half], values[-half:]])


def _form_row(
    rows: pd.DataFrame, status: pd.Series[str], axes: Sequence[AxisText]
) -> tuple[str, str, str, str]:
    """How much ran, the ranges of time and memory against the convolution, and the wall."""
    outcome = status[rows.index]
    possible = int((outcome != "invalid").sum())
    ran = int(outcome.isin(MEASURED).sum())
    return (
        f"{ran} of {possible}",
        _range(rows, "latency_ratio"),
        _range(rows, "peak_ratio"),
        _wall(rows[outcome.isin(TOO_LARGE)], axes),
    )


def _range(rows: pd.DataFrame, name: str) -> str:
    import numpy as np

    ratios = figures(rows, name)
    if np.isnan(ratios).all():
        return ""
    ends = [int(np.nanargmin(ratios)), int(np.nanargmax(ratios))]
    texts = [ratio_text(float(ratios[end])) for end in ends]
    if name == "latency_ratio":
        texts = [text.rstrip() for text in marked(texts, doubtful_ratios(rows)[ends])]
    return "–".join(dict.fromkeys(texts))


def _wall(rows: pd.DataFrame, axes: Sequence[AxisText]) -> str:
    """The least demanding of some cases that were too large, in words.

    By predicted memory, or else by the size of the attention maps, B * Nh * N * N.
    """
    import numpy as np

    demand = figures(rows, "predicted_peak_bytes")
    if np.isnan(demand).any():
        demand = figures(rows, "batch") * figures(rows, "heads") * figures(rows, "tokens") ** 2
    if np.isnan(demand).all():
        return ""
    return case_phrase(rows, int(np.nanargmin(demand)), axes) or "everywhere"
