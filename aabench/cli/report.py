"""``aabench report``: a finished run again, as a table or for a program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aabench.cli.output import OutputFormat, show_results


def report_command(
    run: Annotated[
        Path, typer.Argument(help="A folder that aabench sweep wrote, finished or not.")
    ],
    format: Annotated[OutputFormat, typer.Option(help="What goes to standard output.")] = (
        OutputFormat.table
    ),
) -> None:
    """Print the results of a run again.

    Example: aabench report results/mine --format csv > mine.csv
    """
    from aabench.runs.reading import load_run

    frame = load_run(run)
    for problem in frame.attrs["problems"]:
        print(f"aabench: {problem}", file=sys.stderr)
    if not frame.attrs["complete"]:
        print("aabench: this run is not complete; its command resumes it", file=sys.stderr)
    show_results(frame, format)
