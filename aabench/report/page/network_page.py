"""The page of one network: what its layers cost and hold, beside the plain network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from aabench.report.layer_table import Composition, peak_columns
from aabench.report.network_table import NetworkReport, basis_line, part_columns, total_columns
from aabench.report.page.accuracy_chart import PublishedAccuracy, accuracy_chart
from aabench.report.page.chart import Chart, LeftOut
from aabench.report.page.layer_chart import alive_at_peak
from aabench.report.page.page import Page, Section, chart_section, shown
from aabench.report.page.page_rows import PageRows
from aabench.report.page.run_page import ANSWER_TEXT, data_of
from aabench.report.quantities import bytes_text

if TYPE_CHECKING:
    import pandas as pd

LAYERS_TEXT = (
    "params, MACs and bytes are predicted; at peak: of the bytes alive at the network's peak, what the layer "
    "allocated, saved: what it keeps for the backward pass, alive meanwhile: most bytes of the whole step "
    "while it runs."
)


def page_of_network(
    report: NetworkReport,
    totals: pd.DataFrame,
    *,
    budgets: Mapping[str, int] | None = None,
    accuracies: Sequence[PublishedAccuracy] = (),
    notes: Sequence[str] = (),
) -> str:
    """The whole HTML page of one network.

    Args:
        report: what the terminal shows of it.
        totals: one row of the results schema for the network and one for the plain network.
        budgets: further budgets in bytes by name, beside round sizes and the known cards.
        accuracies: what papers report of networks.
        notes: what else there is to say.

    Returns:
        A complete document that loads nothing from anywhere; to be written as UTF-8.
    """
    rows = PageRows.of([totals])
    pictures: dict[str, Chart | LeftOut] = {"layers": alive_at_peak(report.parts)}
    if accuracies:
        pictures["accuracy"] = accuracy_chart(rows, accuracies)
    return Page(
        title=shown(report.title),
        lines=[shown(note) for note in notes],
        sections=[
            Section("fits", "What fits", "answer", ANSWER_TEXT),
            chart_section(pictures["layers"], "layers", "Layers"),
            *_tables(report),
            *(
                chart_section(each, key, "Accuracy")
                for key, each in pictures.items()
                if key == "accuracy"
            ),
        ],
        data=data_of(rows, budgets),
        charts=list(pictures.values()),
    ).html()


def _tables(report: NetworkReport) -> Iterator[Section]:
    yield Section(
        "layer-table",
        "Every layer",
        "table",
        LAYERS_TEXT,
        columns=part_columns(report.parts, report.peak.total),
    )
    yield _peak_section(report.peak)
    yield Section(
        "step",
        "The whole step",
        "table",
        basis_line(report),
        columns=total_columns(report),
    )


def _peak_section(peak: Composition) -> Section:
    return Section(
        "peak",
        f"Alive at the predicted peak, {bytes_text(peak.total)}",
        "table",
        peak.meaning,
        "Peak",
        columns=[column for column in peak_columns(peak) if column.name != "bar"],
    )
