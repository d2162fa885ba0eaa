"""The page of runs: what was run, what fits which budget, and the pictures of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aabench.cases.columns import STATUSES
from aabench.report.doubtful_times import DOUBTFUL
from aabench.report.page.accuracy_chart import PublishedAccuracy, accuracy_chart
from aabench.report.page.budgets import START, budgets_of
from aabench.report.page.chart import Chart, LeftOut
from aabench.report.page.heat_map import HeatMap, peak_over_two_axes
from aabench.report.page.page import Page, Section, chart_section, shown
from aabench.report.page.page_rows import PageRows
from aabench.report.page.prediction_chart import predicted_against_measured
from aabench.report.page.resolution_charts import latency_over_resolution, memory_over_resolution
from aabench.report.page.row_table import answer_data, table_data
from aabench.report.page.run_facts import RunFacts
from aabench.report.page.trade_off_chart import memory_against_latency
from aabench.report.quantities import bytes_text
from aabench.report.remarks import Remark, reasons, row_remarks
from aabench.report.results_table import shared_by_all
from aabench.report.run_lines import run_lines
from aabench.report.statuses import MEASURED, status_counts

if TYPE_CHECKING:
    import pandas as pd

MOST_REASONS = 12
"""Different reasons that are written out; the table below them has every case."""

ANSWER_TEXT = (
    "✓ fits: the measured peak, or the upper end of the predicted band, is within the budget; ✗ does not "
    "fit: the measured peak, or the lower end of the band, is beyond it; ≈ the budget lies within the band. "
    "Figures with ~ are predicted, all others measured; memory and time are of one step. Peaks count torch's "
    "allocator alone: a card also needs room for the CUDA context, workspaces and fragmentation, which "
    "aabench fit adds."
)
ROWS_TEXT = (
    "Every row of the results, the failed ones too: a heading sorts, the boxes and the search filter; "
    f"figures with ~ are predicted; a ratio with {DOUBTFUL} is of noisy times, as its row's warnings say."
)

Drawn = Chart | HeatMap | LeftOut


def page_of_runs(
    frames: Sequence[pd.DataFrame],
    *,
    title: str,
    budgets: Mapping[str, int] | None = None,
    accuracies: Sequence[PublishedAccuracy] = (),
) -> str:
    """The whole HTML page of one run, or of several side by side.

    Args:
        frames: results as ``aabench.runs.reading.load_run`` gives them, one frame per run; their
            ``attrs`` say what each run is.
        title: the page's heading, as plain text.
        budgets: further budgets in bytes by name, beside round sizes and the known cards.
        accuracies: what papers report of networks, for the picture of runs of networks.

    Returns:
        A complete document that loads nothing from anywhere; to be written as UTF-8.
    """
    rows = PageRows.of(frames)
    drawn = dict(_pictures(rows, accuracies))
    failed = [row for row, name in enumerate(rows.status.tolist()) if name not in MEASURED and name]
    sections = [
        _run_section(frames, rows),
        Section("fits", "What fits", "answer", ANSWER_TEXT),
        *(chart_section(picture, key, _SHORT[key]) for key, picture in drawn.items()),
        _failed_section(rows, failed),
        Section("all", "All rows", "rows", ROWS_TEXT),
    ]
    page = Page(
        title=shown(title),
        lines=list(_lines(rows)),
        sections=sections,
        data={**data_of(rows, budgets), "failed": failed},
        charts=list(drawn.values()),
    )
    return page.html()


_SHORT = {
    "memory": "Memory",
    "latency": "Latency",
    "trade-off": "Trade-off",
    "heat": "Heat map",
    "prediction": "Prediction",
    "accuracy": "Accuracy",
}


def data_of(rows: PageRows, budgets: Mapping[str, int] | None) -> dict[str, Any]:
    """What the page's script needs of some rows and budgets."""
    answer = answer_data(rows)
    answer["noun"] = _noun(rows)
    answer["numeric"] = [axis.is_number for axis in rows.axes]
    return {
        "rows": table_data(rows),
        "answer": answer,
        "failed": [],
        "budget": START,
        "budgets": [
            {
                "name": shown(name),
                "label": _budget_label(shown(name), size),
                "bytes": size,
                "isNamed": not _is_size(name),
            }
            for name, size in budgets_of(budgets).items()
        ],
    }


def _noun(rows: PageRows) -> str:
    """What the settings of some rows are."""
    if "network" not in rows.frame.columns or rows.frame["network"].isna().all():
        return "layers"
    return (
        "networks" if {axis.name for axis in rows.axes} <= {"network"} else "settings of networks"
    )


def _budget_label(name: str, size: int) -> str:
    """A card with what it leaves a process; a size by itself."""
    return name if _is_size(name) else f"{name} ({bytes_text(size)} usable)"


def _is_size(name: str) -> bool:
    return name.partition(" ")[0].isdecimal()


def _pictures(
    rows: PageRows, accuracies: Sequence[PublishedAccuracy]
) -> Iterator[tuple[str, Drawn]]:
    yield "memory", memory_over_resolution(rows)
    yield "latency", latency_over_resolution(rows)
    yield "trade-off", memory_against_latency(rows)
    yield "heat", peak_over_two_axes(rows)
    yield "prediction", predicted_against_measured(rows)
    if accuracies:
        yield "accuracy", accuracy_chart(rows, accuracies)


def _lines(rows: PageRows) -> Iterator[str]:
    """Which runs these are, how their rows ended, and what all rows share."""
    yield from map(shown, run_lines(rows.frame))
    counts = status_counts(rows.status)
    told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    yield f"{len(rows):,} rows: {told}" if told else f"{len(rows):,} rows"
    shared = shared_by_all(rows.frame)
    if shared:
        yield f"All rows: {shown(shared)}"


def _run_section(frames: Sequence[pd.DataFrame], rows: PageRows) -> Section:
    """What was run and where, with the warnings and what to do about them."""
    remarks: dict[str, list[Remark]] = {}
    for column, heading, alike in (("warnings", "Warnings", 1), ("notes", "Notes", 3)):
        if column in rows.frame.columns:
            remarks[heading] = row_remarks(rows.frame[column], alike=alike)
    problems = rows.frame.attrs.get("problems") or ()
    remarks["Found damaged"] = [Remark(0, shown(problem)) for problem in problems]
    return Section(
        "run",
        "What was run, and where",
        "run",
        short="Run",
        entries=[RunFacts.of(frame) for frame in frames],
        remarks={heading: found for heading, found in remarks.items() if found},
    )


def _failed_section(rows: PageRows, failed: Sequence[int]) -> Section:
    """Every case without figures, by status and reason."""
    if not failed:
        return Section("failed", "Failed cases", "failed", "No case failed.", "Failed")
    status = rows.status.iloc[list(failed)]
    reason = rows.frame["reason"].iloc[list(failed)]
    found = reasons(status, reason)
    names = [name for name in status_counts(status) if name in STATUSES]
    meanings = "; ".join(f"{name}: {STATUSES[name]}" for name in names)
    more = "" if len(found) <= MOST_REASONS else f" The {MOST_REASONS} most frequent reasons:"
    return Section(
        "failed",
        "Failed cases",
        "failed",
        f"{len(failed):,} of {len(rows):,} rows were not measured. {meanings}.{more}",
        "Failed",
        entries=found[:MOST_REASONS],
    )
