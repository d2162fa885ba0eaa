"""The page: sections in their order, made into one HTML document that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from aabench.report.aligned_text import TextColumn, one_line
from aabench.report.page.bundle import packed_data, plotly_script, table_script, table_style
from aabench.report.page.chart import Chart, LeftOut
from aabench.report.page.heat_map import HeatMap

Kind = Literal["answer", "chart", "code", "failed", "left out", "rows", "run", "table", "text"]

SCRIPTS = ("unpack", "theme", "budget", "charts", "heat_map", "tables", "page")
"""The parts of the page's own script, in the order in which they build on each other."""

VERDICT_CLASSES = {
    "fits": "fits",
    "does not fit": "not",
    "too close to tell": "close",
    "cannot run": "none",
}
"""How the verdicts of ``aabench fit`` are coloured."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section; which of its fields count, its kind decides.

    Attributes:
        key: its name within the page.
        title: its heading.
        kind: what it holds.
        text: a sentence below the heading.
        short: its name in the list of sections, where the heading is too long.
        columns: of a table.
        remarks: of a table, by row a text in place of its figures; of a run, remarks by heading.
        entries: what a list holds.
        code: lines of Python.
    """

    key: str
    title: str
    kind: Kind
    text: str = ""
    short: str = ""
    columns: Sequence[TextColumn] = ()
    remarks: Mapping[Any, Any] = field(default_factory=dict)
    entries: Sequence[Any] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Attributes:
        title: its heading.
        lines: what stands below it.
        sections: in their order.
        data: what the page's script needs beside the pictures, as JSON-ready values.
        charts: the pictures, each with a section of its own.
        lead: whether the first line is the answer itself.
        footer: a last sentence.
    """

    title: str
    lines: Sequence[str]
    sections: Sequence[Section]
    data: Mapping[str, Any]
    charts: Sequence[Chart | HeatMap | LeftOut] = ()
    lead: bool = False
    footer: str = "Made by aabench. This page holds everything it shows and loads nothing."

    def html(self) -> str:
        """The document. All text is escaped: names and reasons come from outside."""
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup

        environment = Environment(autoescape=True, undefined=StrictUndefined)
        environment.filters["verdict_class"] = lambda cell: VERDICT_CLASSES.get(cell, "")
        template = environment.from_string(_asset("page.html.jinja"))
        return template.render(
            page=self,
            style=Markup(_asset("page.css")),
            script=Markup("\n".join(_asset(f"{name}.js") for name in SCRIPTS)),
            data=packed_data(self._data()),
            table_style=table_style(),
            table_script=table_script(),
            plotly_script=plotly_script(),
        )

    def _data(self) -> dict[str, Any]:
        heat = next((each for each in self.charts if isinstance(each, HeatMap)), None)
        return {
            **self.data,
            "charts": [each.to_dict() for each in self.charts if isinstance(each, Chart)],
            "heat": None if heat is None else heat.to_dict(),
        }


def chart_section(chart: Chart | HeatMap | LeftOut, key: str, short: str) -> Section:
    """The section of a picture, or the line that says why there is none."""
    if isinstance(chart, LeftOut):
        return Section(key, chart.title, "left out", chart.why, short)
    return Section(key, chart.title, "chart", chart.reading, short)


def shown(text: Any) -> str:
    """Foreign text as one line of a page; escaping is the template's."""
    return one_line(str(text))


def _asset(name: str) -> str:
    return files("aabench.report.page").joinpath("assets", name).read_text(encoding="utf-8")
