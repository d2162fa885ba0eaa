"""Predicted beside measured: how far off the predictions of a run were, by form, mode and size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.report.aligned_text import AlignedTable, TextColumn, fitted, prose
from aabench.report.axis_text import case_phrase
from aabench.report.figure_columns import figures
from aabench.report.quantities import bytes_text, is_missing, ratio_text
from aabench.report.results import Results
from aabench.report.side_by_side import RUN

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SIZES = (
    (0, "below 1 MiB"),
    (2**20, "1 to 32 MiB"),
    (2**25, "32 MiB to 1 GiB"),
    (2**30, "from 1 GiB"),
)
"""Lower ends of measured peaks in bytes, and what the group is called."""

WORST = 5
"""Rows that are named, the furthest off first."""

EXPENDABLE = ("95 % step", "95 % peak", "in band time", "in band peak")

ERRORS = (
    "group",
    "rows",
    "peak_median",
    "peak_p95",
    "peak_worst",
    "step_median",
    "step_p95",
    "step_worst",
    "peak_in_band",
    "time_median",
    "time_in_band",
)
"""The columns of ``prediction_errors``."""


def prediction_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """The errors of a run's predictions by run, attention form, mode and size of the peak.

    Args:
        frame: rows of results; those without a measured and a predicted peak do not count.

    Returns:
        One row per group and one for all, with ``ERRORS``: absolute relative errors of the peak and
        of the step's peak (median, 95th percentile, worst), the share of peaks and of times within
        their band, and the median of predicted / measured time.
    """
    import numpy as np
    import pandas as pd

    known = frame[~np.isnan(figures(frame, "peak_error"))].reset_index(drop=True)
    groups: list[tuple[str, NDArray[np.bool_]]] = [("all", np.ones(len(known), bool))]
    for column in (RUN, "attention", "mode"):
        for value in known[column].dropna().unique() if column in known else ():
            groups.append((str(value), (known[column] == value).to_numpy()))
    peaks = figures(known, "peak_allocated_bytes")
    uppers = [lower for lower, _ in SIZES[1:]] + [np.inf]
    for (lower, name), upper in zip(SIZES, uppers, strict=True):
        groups.append((name, (peaks >= lower) & (peaks < upper)))
    rows = [_errors(name, known[rows]) for name, rows in groups if rows.any()]
    return pd.DataFrame(rows, columns=list(ERRORS))


def prediction_table(frame: pd.DataFrame, *, width: int) -> RenderableType:
    """Render the errors of a run's predictions for so many terminal cells."""
    return Group(*_parts(frame, width))


def _parts(frame: pd.DataFrame, width: int) -> Iterator[RenderableType]:
    errors = prediction_errors(frame)
    name = frame.attrs.get("name")
    yield from prose(
        f"Predicted against measured{f', {name}' if name else ''}", width, style="bold"
    )
    if errors.empty:
        yield from prose("no row has both a predicted and a measured peak", width, style="yellow")
        return
    yield AlignedTable(fitted(_columns(errors), width, EXPENDABLE)[0], width)
    yield from prose(
        "peak and step: |predicted / measured - 1| of the bytes at the step's peak, with the weights "
        "and without; in band: share of rows whose measured value lies between low and high; time: "
        "median of predicted / measured",
        width,
        style="dim",
    )
    bases = [str(value) for value in frame.get("prediction_basis", []) if isinstance(value, str)]
    if bases:
        yield from prose(f"bands: {' or '.join(dict.fromkeys(bases))}", width, style="dim")
    yield Text()
    yield Text("Furthest off", style="bold")
    yield from _worst(frame, width)


def _columns(errors: pd.DataFrame) -> list[TextColumn]:
    def shares(name: str, head: str, column: str, group: str) -> TextColumn:
        cells = [_percent(value) for value in errors[column]]
        return TextColumn(name, head, cells, right=True, group=group)

    columns = [
        TextColumn("group", "rows of", list(errors["group"])),
        TextColumn("rows", "rows", [f"{count:,}" for count in errors["rows"]], right=True),
        shares("median peak", "median", "peak_median", "peak"),
        shares("95 % peak", "95 %", "peak_p95", "peak"),
        shares("worst peak", "worst", "peak_worst", "peak"),
        shares("in band peak", "in band", "peak_in_band", "peak"),
        shares("median step", "median", "step_median", "step"),
        shares("95 % step", "95 %", "step_p95", "step"),
        shares("worst step", "worst", "step_worst", "step"),
        TextColumn(
            "time",
            "ratio",
            ["" if is_missing(value) else ratio_text(value) for value in errors["time_median"]],
            right=True,
            group="time",
        ),
        shares("in band time", "in band", "time_in_band", "time"),
    ]
    return [column for column in columns if any(column.cells)]


def _worst(frame: pd.DataFrame, width: int) -> Iterator[Text]:
    import numpy as np

    results = Results.of(frame, width)
    off = np.abs(figures(results.frame, "step_peak_error"))
    for row in np.argsort(np.where(np.isnan(off), -1.0, off))[::-1][:WORST]:
        if np.isnan(off[row]):
            return
        values = results.frame.iloc[int(row)]
        case = case_phrase(results.frame, int(row), results.swept)
        yield from prose(
            f"{_percent(float(off[row]))} of the step: predicted "
            f"{bytes_text(values['predicted_step_peak_bytes'])}, measured "
            f"{bytes_text(values['step_peak_bytes'])}: {case}",
            width,
            lead="  ",
        )


def _errors(name: str, rows: pd.DataFrame) -> tuple[object, ...]:
    import numpy as np

    times = figures(rows, "predicted_latency_s") / figures(rows, "latency_median_s")
    times = times[~np.isnan(times)]
    return (
        name,
        len(rows),
        *_spread(np.abs(figures(rows, "peak_error"))),
        *_spread(np.abs(figures(rows, "step_peak_error"))),
        _share_within(
            rows, "peak_allocated_bytes", "predicted_peak_low_bytes", "predicted_peak_high_bytes"
        ),
        float(np.median(times)) if len(times) else float("nan"),
        _share_within(
            rows, "latency_median_s", "predicted_latency_low_s", "predicted_latency_high_s"
        ),
    )


def _spread(errors: Floats) -> tuple[float, float, float]:
    """Median, 95th percentile and worst of the errors that are known."""
    import numpy as np

    known = errors[~np.isnan(errors)]
    if not len(known):
        return (float("nan"),) * 3
    return float(np.median(known)), float(np.quantile(known, 0.95)), float(known.max())


def _share_within(rows: pd.DataFrame, value: str, low: str, high: str) -> float:
    import numpy as np

    values, lows, highs = (figures(rows, name) for name in (value, low, high))
    known = ~np.isnan(values) & ~np.isnan(lows) & ~np.isnan(highs)
    if not known.any():
        return float("nan")
    return float(np.mean((lows <= values)[known] & (values <= highs)[known]))


def _percent(share: float) -> str:
    if is_missing(share):
        return ""
    return f"{100 * share:.2f} %" if share < 0.1 else f"{100 * share:.0f} %"
