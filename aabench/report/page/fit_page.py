"""The page of a fit: the verdict, what every form and layer needs, and what could be changed."""

from __future__ import annotations

from collections.abc import Iterator

from aabench.report.fit_table import LEGEND, FitReport, circumstances, fit_tables, headline
from aabench.report.page.chart import Chart, LeftOut
from aabench.report.page.fit_layer_chart import layers_at_peak
from aabench.report.page.need_chart import need_of_forms
from aabench.report.page.page import Page, Section, chart_section, shown


def page_of_fit(report: FitReport) -> str:
    """The whole HTML page of what ``aabench fit`` found.

    Returns:
        A complete document that loads nothing from anywhere; to be written as UTF-8.
    """
    pictures: dict[str, Chart | LeftOut] = {
        "forms": need_of_forms(report.forms, report.usable_bytes)
    }
    if len(report.layers):
        pictures["layers"] = layers_at_peak(report.layers)
    return Page(
        title=shown(f"Does {report.network} fit?"),
        lines=[shown(line) for line in (*headline(report), circumstances(report), *report.notes)],
        sections=[
            *(chart_section(each, key, key.capitalize()) for key, each in pictures.items()),
            *_tables(report),
            *_code(report),
            Section(
                "meaning",
                "What the figures mean",
                "text",
                entries=[f"{LEGEND} Basis: {report.basis}."],
            ),
        ],
        data={"rows": None, "answer": None, "failed": [], "budgets": [], "budget": ""},
        charts=list(pictures.values()),
        lead=True,
    ).html()


def _tables(report: FitReport) -> Iterator[Section]:
    for place, table in enumerate(fit_tables(report, every_layer=True)):
        yield Section(
            f"table-{place}",
            shown(table.title),
            "table",
            columns=[column for column in table.columns if any(column.cells)],
            remarks=table.remarks,
        )


def _code(report: FitReport) -> Iterator[Section]:
    if report.lines and not len(report.maxima):
        yield Section(
            "code", "In Python", "code", "What fits, as lines of Python:", code=report.lines
        )
