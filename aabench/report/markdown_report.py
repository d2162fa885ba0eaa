"""The printed report in Markdown, as GitHub shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from aabench.report.markdown_text import escaped, markdown_row
from aabench.report.printed_report import PrintedReport, PrintedTable


def write_markdown_report(report: PrintedReport, stream: IO[str]) -> None:
    """Write a printed report as Markdown to a text stream."""
    blocks = [_list(report.runs), *map(_table, report.tables)]
    if report.warnings:
        blocks += ["Warnings\n", _list(report.warnings)]
    stream.write("\n".join(filter(None, blocks)))


def _table(table: PrintedTable) -> str:
    parts = [
        f"{escaped(table.caption)}\n\n" if table.caption else "",
        markdown_row([column.own_head for column in table.columns]),
        "| " + " | ".join("--:" if each.right else ":--" for each in table.columns) + " |\n",
        *map(markdown_row, table.rows()),
        f"\n{escaped(table.legend)}\n" if table.legend else "",
    ]
    return "".join(parts)


def _list(lines: Sequence[str]) -> str:
    return "".join(f"- {escaped(line)}\n" for line in lines)
