"""The final table of a sweep: its rows, what went wrong in them, and the point at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.report.aligned_text import (
    AlignedTable,
    TextColumn,
    fitted,
    one_line,
    prose,
    total_width,
    unwrapped,
    wrapped,
)
from aabench.report.axis_text import case_phrase, constant_phrases
from aabench.report.case_table import case_table
from aabench.report.digest import extreme_rows, form_columns, median_columns
from aabench.report.figure_columns import COMPARISON, figure_phrase
from aabench.report.form_ratios import BASELINE, MEMORY, TIME, FormRatios, form_ratios
from aabench.report.legend import figure_legend
from aabench.report.remarks import Remark, reasons, row_remarks
from aabench.report.results import Results
from aabench.report.run_lines import run_lines
from aabench.report.side_by_side import RUN
from aabench.report.statuses import MEASURED, status_counts, status_style

if TYPE_CHECKING:
    import pandas as pd

MANY_ROWS = 200
"""A run with more rows is summed up, and only its first rows are printed."""

FIRST_ROWS = 20

MOST_REMARKS = 12
"""Different remarks of one kind that are printed; the machine formats have all."""

MOST_SETTINGS = 24
"""Settings whose forms are compared one by one; of more, each form's median and range are printed."""

SPARED_IN_DIGEST = (
    "FLOPs",
    "rows",
    "range of time",
    "range of memory",
    f"time {COMPARISON}",
    f"memory {COMPARISON}",
)
"""Columns of the digest that a narrow terminal goes without, the least important first."""


def results_table(frame: pd.DataFrame, *, width: int) -> RenderableType:
    """Render the final table of a sweep.

    Args:
        frame: rows with the columns of the results schema. ``frame.attrs`` may hold ``name``,
            ``folder``, ``device``, ``environment``, ``complete``, ``wall_s`` and ``problems``; of several
            runs, ``runs`` holds these of each.
        width: terminal cells per line; the least important columns make way for the others.
    """
    results = Results.of(frame, width)
    return Group(*_parts(results, frame.attrs))


def shared_by_all(frame: pd.DataFrame) -> str:
    """What all rows of a sweep share, in words; empty if that is nothing."""
    return ", ".join(constant_phrases(frame))


def _parts(results: Results, attrs: Mapping[Any, Any]) -> Iterator[RenderableType]:
    yield from _title(results, attrs)
    if len(results.frame):
        yield Text()
        yield from _rows(results, attrs)
        yield from _reasons(results)
        yield from _remarks(results, "warnings", "Warnings", "yellow", alike=1)
        yield from _remarks(results, "notes", "Notes", "", alike=3)
        yield from _digest(results)
        yield from _against_baseline(results)
    yield from _problems(attrs)
    if attrs.get("folder"):
        yield Text()
        yield unwrapped(Text(f"results in {one_line(str(attrs['folder']))}"))


def _title(results: Results, attrs: Mapping[Any, Any]) -> Iterator[Text]:
    """Which run, how its rows ended, and what all of them share."""
    for line in run_lines(results.frame):
        yield from prose(line, results.width, style="bold")
    counts = status_counts(results.status)
    outcomes = [Text(f"{count:,} {name}", status_style(name)) for name, count in counts.items()]
    total = _counted(len(results.frame), "row")
    if outcomes:
        outcomes[0] = Text(f"{total}: ") + outcomes[0]
    yield from wrapped(outcomes or [Text(total)], results.width)
    if attrs.get("complete") is False:
        hint = "incomplete: the same command goes on where it stopped"
        yield from prose(hint, results.width, style="yellow")
    shared = shared_by_all(results.frame)
    if shared:
        yield from prose(shared, results.width, lead="all rows: ")


def _rows(results: Results, attrs: Mapping[Any, Any]) -> Iterator[RenderableType]:
    """The table itself, or its beginning, and how to read it."""
    rows = len(results.frame)
    shown = results if rows <= MANY_ROWS else results.at(range(FIRST_ROWS))
    table, dropped = case_table(shown)
    yield table
    if shown is not results:
        everything = "--format csv"
        if attrs.get("folder"):
            everything += f", or {attrs['folder']}/results.csv"
        hint = f"{rows - FIRST_ROWS:,} more rows; all of them: {everything}"
        yield from prose(hint, results.width, style="dim")
    if dropped:
        names = ", ".join(column.name for column in dropped)
        hint = f"not shown at {results.width} columns: {names}; --format csv has them"
        yield from prose(hint, results.width, style="dim")
    legend = figure_legend(table.columns, shown, covered=table.remarks)
    if legend:
        yield from prose(legend, table.width, style="dim")


def _reasons(results: Results) -> Iterator[Text]:
    """Why rows have no figures: each reason in full, once, with its number of rows."""
    if "reason" not in results.frame.columns:
        return
    failed = ~results.status.isin(MEASURED)
    found = reasons(results.status[failed], results.frame["reason"][failed])
    if not found:
        return
    yield from _heading_of("Not measured")
    leads = [f"{remark.rows:,} {remark.label}: " for remark in found[:MOST_REMARKS]]
    widest = max(map(len, leads))
    for lead, remark in zip(leads, found, strict=False):
        style = status_style(remark.label)
        yield from prose(remark.text, results.width, lead=lead.rjust(widest + 2), lead_style=style)
    yield from _left_over(found, results.width)


def _remarks(
    results: Results, column: str, heading: str, style: str, *, alike: int
) -> Iterator[Text]:
    """The warnings or notes of all rows, each once, with its remedy below it."""
    if column not in results.frame.columns:
        return
    found = row_remarks(results.frame[column], alike=alike)
    if not found:
        return
    yield from _heading_of(heading)
    leads = [f"{_counted(remark.rows, 'row')}: " for remark in found[:MOST_REMARKS]]
    widest = max(map(len, leads))
    for lead, remark in zip(leads, found, strict=False):
        yield from prose(remark.text, results.width, lead=lead.rjust(widest + 2), lead_style=style)
        if remark.remedy:
            yield from prose(remark.remedy, results.width, lead="→ ".rjust(widest + 4))
    yield from _left_over(found, results.width)


def _left_over(found: Sequence[Remark], width: int) -> Iterator[Text]:
    if len(found) > MOST_REMARKS:
        more = found[MOST_REMARKS:]
        rows = sum(remark.rows for remark in more)
        hint = f"and {len(more):,} more, said by {_counted(rows, 'row')}; --format csv has them"
        yield from prose(hint, width, lead="  ", style="dim")


def _digest(results: Results) -> Iterator[RenderableType]:
    """The point of a run: medians and extremes of a large one, and every form at a glance."""
    if len(results.frame) > MANY_ROWS:
        measured = results.status.isin(MEASURED).to_numpy().nonzero()[0]
        ran = results.at(measured.tolist())
        yield from _medians(ran)
        yield from _extremes(ran)
    forms = form_columns(results.frame, results.status, results.swept)
    if forms and len(results.frame) > 1:
        yield from _heading_of("At a glance")
        yield from _form_table(forms, results.width)


def _medians(ran: Results) -> Iterator[RenderableType]:
    columns, is_starred = median_columns(ran.frame, ran.swept)
    if not columns:
        return
    yield from _heading_of("Medians by axis, over the settings that ran with every value")
    yield _fitted_table(columns, ran.width)
    if is_starred:
        hint = "* no setting ran with every value: medians of different settings, not comparable"
        yield from prose(hint, ran.width, style="dim")


def _extremes(ran: Results) -> Iterator[Text]:
    names: dict[int, str] = {}
    for name, row in extreme_rows(ran.frame).items():
        names[row] = f"{names[row]}, {name}" if row in names else name
    if not names:
        return
    yield from _heading_of("Rows to look at")
    for row, name in names.items():
        case = case_phrase(ran.frame, row, ran.swept)
        yield from prose(f"{name}: {case}", ran.width, lead="  ")
        yield from prose(figure_phrase(ran.frame, row), ran.width, lead="    ", style="dim")


def _form_table(forms: Sequence[TextColumn], width: int) -> Iterator[RenderableType]:
    """The attention forms; walls that take many words go below them."""
    table = _fitted_table(forms, width)
    if total_width(table.columns) <= width:
        yield table
        return
    yield _fitted_table([column for column in forms if column.name != "wall"], width)
    walls = next(column for column in forms if column.name == "wall")
    named = [column.cells for column in forms if column.name in (RUN, "attention")]
    for *names, wall in zip(*named, walls.cells, strict=True):
        if wall:
            lead = f"{' '.join(names)} too large from: "
            yield from prose(wall, width, lead=lead, lead_style="red")


def _against_baseline(results: Results) -> Iterator[RenderableType]:
    """Every form beside the one that people have today, where a run has both."""
    ratios = form_ratios(results)
    if ratios is None:
        return
    yield from _heading_of(f"Forms against {BASELINE}")
    tables = _ratio_tables(ratios, results.width)
    yield from (AlignedTable(columns, results.width) for columns in tables)
    shown = [column for columns in tables for column in columns]
    yield from prose(ratios.legend(shown), results.width, style="dim")


def _ratio_tables(ratios: FormRatios, width: int) -> list[list[TextColumn]]:
    """Setting by setting where there is room for it, or else summed up; in one table or in two."""
    summary = ratios.summary()
    choices = [summary] if len(ratios.settings) > MOST_SETTINGS else [ratios.table(), summary]
    for columns in choices:
        apart = [[column for column in columns if column.group in ("", g)] for g in (TIME, MEMORY)]
        for tables in ([columns], apart):
            if all(total_width(table) <= width for table in tables):
                return tables
    return apart


def _fitted_table(columns: Sequence[TextColumn], width: int) -> AlignedTable:
    kept, _ = fitted(columns, width, SPARED_IN_DIGEST)
    return AlignedTable(kept, width)


def _problems(attrs: Mapping[Any, Any]) -> Iterator[Text]:
    problems = attrs.get("problems")
    if problems:
        yield from _heading_of("Found damaged")
        for problem in problems:
            yield from prose(str(problem), 100, lead="  ", style="yellow")


def _heading_of(name: str) -> Iterator[Text]:
    yield Text()
    yield Text(name, style="bold")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
