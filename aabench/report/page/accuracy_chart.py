"""The accuracy chart: what published networks reach, against the memory and the time that they take here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aabench.report.axis_text import AXES
from aabench.report.figure_columns import figures
from aabench.report.page.chart import Chart, Choice, LeftOut, Trace, View, log_axis
from aabench.report.page.chart_text import chart_text
from aabench.report.page.coded_axis import coded_axis
from aabench.report.page.form_look import FormLook, form_looks
from aabench.report.page.page_rows import Band, PageRows
from aabench.report.quantities import BYTES, SECONDS, Scale, common_unit

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

TITLE = "Published accuracy against memory and time"
READING = (
    "Each mark is a network as a paper trained it: its accuracy is the paper's, never measured here, "
    "memory and time are of one step in this run; the upper left is where one wants to be."
)


CHANGES = (
    "augment",
    "kernel_size",
    "downsample",
    "heads",
    "dk",
    "dv",
    "kappa",
    "upsilon",
    "position",
)
"""Columns that are empty where a network is the one its name stands for."""


@dataclass(frozen=True, slots=True)
class PublishedAccuracy:
    """What a paper reports of a network.

    Attributes:
        network: the name by which rows call it.
        resolution: height and width of the images that it was evaluated on.
        percent: the accuracy.
        measure: what is measured and on what, such as ``top-1 on ImageNet``.
        source: the paper and its table.
    """

    network: str
    resolution: int
    percent: float
    measure: str
    source: str


@dataclass(frozen=True, slots=True)
class _Match:
    """A row and what a paper reports of its network at its resolution."""

    row: int
    published: PublishedAccuracy


def accuracy_chart(rows: PageRows, accuracies: Sequence[PublishedAccuracy]) -> Chart | LeftOut:
    """Accuracy over peak memory or latency, of the rows whose network has a published one.

    A paper's figure counts only for rows of the same network as the paper has it, with no setting
    changed, at the same square resolution.
    """
    matches = list(_matches(rows, accuracies))
    if not matches:
        return LeftOut(TITLE, "no row is a network at a resolution that a paper reports")
    work = [axis for axis in rows.axes if axis.name in ("batch", "mode", "precision", "run")]
    measures = list(dict.fromkeys(match.published.measure for match in matches))
    views: dict[str, View] = {}
    for place, measure in enumerate(measures):
        of_measure = [match for match in matches if match.published.measure == measure]
        groups: dict[str, list[_Match]] = {}
        for match in of_measure:
            key = "".join(f",{axis.codes[match.row]}" for axis in work)
            groups.setdefault(key, []).append(match)
        for key, members in groups.items():
            for axis, (_, view) in enumerate(_views(rows, members).items()):
                views[f"{place},{axis}{key}"] = view
    return Chart(
        key="accuracy",
        title=TITLE,
        reading=READING,
        views=views,
        choices=[
            Choice("accuracy", measures),
            Choice("against", ["peak memory", "latency"]),
            *(Choice(axis.head, axis.labels) for axis in work),
        ],
        layout={"yaxis": {"title": {"text": "published accuracy, %"}}, "hovermode": "closest"},
        start=next(iter(views)),
    )


def _matches(rows: PageRows, accuracies: Sequence[PublishedAccuracy]) -> Iterator[_Match]:
    if "network" not in rows.frame.columns:
        return
    known = {(each.network, each.resolution): each for each in reversed(accuracies)}
    networks = rows.frame["network"].tolist()
    heights, widths = figures(rows.frame, "height"), figures(rows.frame, "width")
    for row in (rows.can_answer & _is_unchanged(rows.frame)).nonzero()[0].tolist():
        found = known.get((networks[row], int(heights[row]))) if heights[row] > 0 else None
        if found is not None and heights[row] == widths[row]:
            yield _Match(row, found)


def _is_unchanged(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Where a network is as it is built by its name."""
    import numpy as np

    changed = np.zeros(len(frame), np.bool_)
    for name in CHANGES:
        if name in frame.columns:
            changed |= frame[name].notna().to_numpy()
    return ~changed


def _views(rows: PageRows, matches: Sequence[_Match]) -> Mapping[str, View]:
    return {
        "peak memory": _view(rows, rows.peak, BYTES, "peak memory", matches),
        "latency": _view(rows, rows.latency, SECONDS, "time of one step", matches),
    }


def _view(rows: PageRows, band: Band, scale: Scale, name: str, matches: Sequence[_Match]) -> View:
    known = [match for match in matches if band.is_known[match.row]]
    unit = common_unit([band.value[match.row] for match in known], scale) or scale.units[-2]
    looks = form_looks(rows.form.labels)
    batches = coded_axis(rows.frame, next(axis for axis in AXES if axis.name == "batch"))
    traces: list[Trace] = []
    for code, form in enumerate(rows.form.labels):
        of_form = [match for match in known if rows.form.codes[match.row] == code]
        if of_form:
            traces.append(_trace(form, looks[form], of_form, band, unit.size))
    sources = dict.fromkeys(match.published.source for match in known)
    note = f"Accuracies: {'; '.join(sources)}." if sources else f"No row has a {name}."
    if len(batches.labels) == 1:
        note += f" Batch {batches.labels[0]}."
    values = band.value[[match.row for match in known]] / unit.size
    return View(traces, note, {"xaxis": log_axis(f"{name}, {unit.symbol}", values)})


def _trace(
    form: str, look: FormLook, matches: Sequence[_Match], band: Band, unit_size: float
) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": chart_text(form),
        "x": [float(band.value[match.row] / unit_size) for match in matches],
        "y": [match.published.percent for match in matches],
        "text": [chart_text(match.published.network) for match in matches],
        "textposition": "top center",
        "marker": {
            "color": look.color,
            "symbol": [
                look.symbol + ("-open" if band.is_predicted[match.row] else "") for match in matches
            ],
            "size": 11,
        },
        "hovertemplate": "%{text}<br>%{y} %, %{x:.4~g}",
    }
