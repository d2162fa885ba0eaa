"""The answer of ``aabench fit`` in each format: as tables, JSON, CSV, Markdown and as a page."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aabench.cli.output import OutputFormat

if TYPE_CHECKING:
    import pandas as pd

    from aabench.fitting.fit import Fit
    from aabench.report.fit_table import FitReport

SCHEMA = 1
"""Of ``--format json``."""

TABLES = {
    "layers": "frame",
    "stages": "stages_frame",
    "forms": "forms_frame",
    "remedies": "remedies_frame",
    "maxima": "maxima_frame",
}
"""What ``--rows`` takes, and the attribute of a fit that it stands for."""


def show_fit(found: Fit, format: OutputFormat, *, plan_file: str, rows: str | None) -> None:
    """Print an answer.

    Args:
        found: the answer.
        format: how.
        plan_file: where its plan is, or would be, for the Python that builds what fits.
        rows: of CSV and Markdown, the table: one of ``TABLES``; None for the one that says most.
    """
    _SHOW[format](found, plan_file, rows)


def write_fit_page(found: Fit, path: Path, *, plan_file: str) -> None:
    """Write an answer as a page.

    Raises:
        UsageError: it cannot be written; an earlier file is kept.
    """
    from aabench.cli.page_flags import write_page
    from aabench.report.page.fit_page import page_of_fit

    write_page(path, page_of_fit(_report(found, plan_file)))


def _print_table(found: Fit, file: str, rows: str | None) -> None:
    from aabench.report.fit_table import fit_report
    from aabench.report.terminal import print_to

    report = _report(found, file)
    print_to(sys.stdout, lambda width: fit_report(report, width=width))


def _report(found: Fit, file: str) -> FitReport:
    from aabench.report.fit_table import FitReport

    subject, settings = found.subject, found.subject.settings
    _, height, width = subject.source.input_size
    return FitReport(
        network=subject.source.name,
        case=f"batch {subject.batch}, {settings.mode}, {height}x{width}, {settings.precision}",
        where=found.device,
        usable_bytes=found.budget.usable_bytes,
        budget=_budget_text(found),
        verdict=found.verdict.value,
        attention=subject.attention,
        asked_form=found.asked_form,
        plain_name=subject.source.plain_name,
        plain=found.plain_row,
        forms=found.forms_frame,
        stages=found.stages_frame,
        layers=found.frame,
        remedies=found.remedies_frame,
        maxima=found.maxima_frame,
        basis=found.plain.need.basis,
        lines=found.lines(file),
        notes=found.notes,
    )


def _budget_text(found: Fit) -> str:
    from aabench.report.quantities import bytes_text

    budget = found.budget
    words = [budget.source]
    if budget.reserve_bytes:
        words.append(f"less {bytes_text(budget.reserve_bytes)} reserved")
    if budget.extra_bytes:
        words.append(f"{bytes_text(budget.extra_bytes)} added to every need")
    return ", ".join(words)


def _print_json(found: Fit, file: str, rows: str | None) -> None:
    from aabench.report.fit_table import headline
    from aabench.report.tidy_frame import json_values

    def records(frame: Any) -> list[dict[str, Any]]:
        columns = [json_values(frame[name]) for name in frame.columns]
        return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]

    budget = found.budget
    answer = {
        "schema": SCHEMA,
        "network": found.subject.source.name,
        "verdict": found.verdict.value,
        "headline": list(headline(_report(found, file))),
        "device": found.device,
        "budget": {
            "source": budget.source,
            "total_bytes": budget.total_bytes,
            "reserve_bytes": budget.reserve_bytes,
            "extra_bytes": budget.extra_bytes,
            "usable_bytes": budget.usable_bytes,
        },
        "attention": found.subject.attention,
        "plain": {"network": found.subject.source.plain_name, **found.plain_row},
        "forms": records(found.forms_frame),
        "stages": records(found.stages_frame),
        "layers": records(found.frame),
        "remedies": records(found.remedies_frame),
        "maxima": records(found.maxima_frame),
        "plan": found.plan.to_dict() if found.has_plan else None,
        "notes": list(found.notes),
    }
    print(json.dumps(answer, indent=2))


def _print_csv(found: Fit, file: str, rows: str | None) -> None:
    from aabench.report.records import write_csv

    write_csv(_chosen_table(found, rows), sys.stdout)


def _print_markdown(found: Fit, file: str, rows: str | None) -> None:
    from aabench.report.fit_table import headline
    from aabench.report.markdown_text import markdown_row

    for line in headline(_report(found, file)):
        print(f"{line}\n")
    frame = _chosen_table(found, rows)
    for cells in (frame.columns, ["---"] * len(frame.columns), *frame.astype(object).to_numpy()):
        print(markdown_row([str(cell) for cell in cells]), end="")


def _chosen_table(found: Fit, rows: str | None) -> pd.DataFrame:
    """The table asked for; else one row per layer, where a setting was maximized one per form."""
    frame: pd.DataFrame = getattr(found, TABLES[rows or ("maxima" if found.maxima else "layers")])
    return frame


_SHOW: Mapping[OutputFormat, Callable[[Fit, str, str | None], None]] = {
    OutputFormat.table: _print_table,
    OutputFormat.json: _print_json,
    OutputFormat.csv: _print_csv,
    OutputFormat.md: _print_markdown,
}
