"""The printed report in LaTeX: tables with the rules of ``booktabs``, for a document that reads them in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO

from aabench.report.aligned_text import TextColumn, one_line
from aabench.report.latex_text import latex_text
from aabench.report.printed_report import PrintedReport, PrintedTable

MOST_ROWS_OF_A_PAGE = 40
"""A table with more rows goes over several pages."""

LONGEST_UNBROKEN_CELL = 40
"""Characters; a column with a longer text breaks its lines."""

_WRAPPED = r"p{0.3\linewidth}"
_TIMES = re.compile(r"(?<=\d)x(?=\d|$)")

_PREAMBLE = (
    r"""% In the preamble: \usepackage[T1]{fontenc}, \usepackage{textcomp}, \usepackage{booktabs}"""
)


def write_latex_report(report: PrintedReport, stream: IO[str]) -> None:
    """Write a printed report as LaTeX to a text stream; a document of one's own reads it in."""
    stream.write(_PREAMBLE)
    stream.write(", \\usepackage{longtable}\n" if any(map(_is_long, report.tables)) else "\n")
    for line in (*report.runs, *report.warnings):
        stream.write(f"% {one_line(line)}\n")
    for table in report.tables:
        stream.write("\n")
        stream.writelines(line + "\n" for line in _lines(table))


def _is_long(table: PrintedTable) -> bool:
    return len(table.columns[0].cells) > MOST_ROWS_OF_A_PAGE


def _lines(table: PrintedTable) -> Iterator[str]:
    return _long_table(table) if _is_long(table) else _floating_table(table)


def _floating_table(table: PrintedTable) -> Iterator[str]:
    yield r"\begin{table}"
    yield r"\centering"
    if table.caption:
        yield rf"\caption{{{latex_text(table.caption)}}}"
    yield rf"\begin{{tabular}}{{{_alignment(table.columns)}}}"
    yield from _head(table)
    yield from _body(table)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    if table.legend:
        yield rf"\par\smallskip{{\footnotesize {latex_text(table.legend)}\par}}"
    yield r"\end{table}"


def _long_table(table: PrintedTable) -> Iterator[str]:
    yield rf"\begin{{longtable}}{{{_alignment(table.columns)}}}"
    if table.caption:
        yield rf"\caption{{{latex_text(table.caption)}}} \\"
    yield from _head(table)
    yield r"\endhead"
    yield r"\bottomrule"
    yield r"\endlastfoot"
    yield from _body(table)
    yield r"\end{longtable}"
    if table.legend:
        yield rf"\noindent{{\footnotesize {latex_text(table.legend)}\par}}"


def _alignment(columns: Sequence[TextColumn]) -> str:
    return "".join(map(_column_type, columns))


def _column_type(column: TextColumn) -> str:
    if max(map(len, column.cells), default=0) > LONGEST_UNBROKEN_CELL:
        return _WRAPPED
    return "r" if column.right else "l"


def _head(table: PrintedTable) -> Iterator[str]:
    yield r"\toprule"
    yield _row([latex_text(column.own_head) for column in table.columns])
    yield r"\midrule"


def _body(table: PrintedTable) -> Iterator[str]:
    is_number = [column.right for column in table.columns]
    for cells in table.rows():
        yield _row(
            [
                latex_text(_TIMES.sub("×", cell) if number else cell)
                for cell, number in zip(cells, is_number, strict=True)
            ]
        )


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
