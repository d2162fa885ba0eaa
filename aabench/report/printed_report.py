"""The printed report: the tables that go into papers and notes, with what stands above and below them.

What it says is decided here; ``markdown_report`` and ``latex_report`` only mark it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aabench.report.aligned_text import TextColumn
from aabench.report.case_table import whole_table
from aabench.report.form_ratios import BASELINE, form_ratios
from aabench.report.legend import figure_legend
from aabench.report.remarks import row_remarks
from aabench.report.results import Results
from aabench.report.results_table import shared_by_all
from aabench.report.run_lines import run_lines

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """One table.

    Attributes:
        caption: what stands above it; may be empty.
        columns: from left to right, with units in their heads.
        legend: what stands below it; may be empty.
    """

    caption: str
    columns: Sequence[TextColumn]
    legend: str

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The cells, row by row."""
        return zip(*(column.cells for column in self.columns), strict=True)


@dataclass(frozen=True, slots=True)
class PrintedReport:
    """What a printed report says, as plain text without any markup.

    Attributes:
        runs: one line for each run.
        tables: those that have columns.
        warnings: what makes the figures doubtful, each with its remedy.
    """

    runs: Sequence[str]
    tables: Sequence[PrintedTable]
    warnings: Sequence[str]


def printed_report(frame: pd.DataFrame) -> PrintedReport:
    """The printed report of a run, or of several side by side.

    Args:
        frame: rows with the columns of the results schema; ``attrs`` as of ``load_run`` or
            ``side_by_side``.
    """
    return PrintedReport(run_lines(frame), list(_tables(frame)), _warnings(frame))


def _tables(frame: pd.DataFrame) -> Iterator[PrintedTable]:
    results = Results.of(frame, width=0)
    shared = shared_by_all(frame)
    caption = f"All rows: {shared}" if shared else ""
    columns = whole_table(frame)
    if columns:
        yield PrintedTable(caption, columns, figure_legend(columns, results))
    ratios = form_ratios(results)
    if ratios is not None:
        compared = ratios.table()
        yield PrintedTable(f"Forms against {BASELINE}", compared, ratios.legend(compared))


def _warnings(frame: pd.DataFrame) -> list[str]:
    if "warnings" not in frame.columns:
        return []
    return [
        f"{remark.rows:,} row{'' if remark.rows == 1 else 's'}: {remark.text}"
        + (f" ({remark.remedy})" if remark.remedy else "")
        for remark in row_remarks(frame["warnings"])
    ]
