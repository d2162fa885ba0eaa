"""The flags of ``aabench report``: what is printed, and which files are written where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aabench.cli.output import OutputFormat
from aabench.report.files import FILE_FORMATS

PANEL = "Files"
_FORMATS = "; ".join(f"{name}: {each.meaning}" for name, each in FILE_FORMATS.items())

Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Folders that aabench sweep wrote, finished or not; several are set side by side.",
    ),
]
Format = Annotated[
    OutputFormat | None,
    typer.Option(
        "--format",
        help="What goes to standard output. (default: table, or the paths of --to)",
        show_default=False,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORMATS",
        help=f"Write files, each replacing an earlier one, by a list such as html,csv: {_FORMATS}.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Into = Annotated[
    Path | None,
    typer.Option(
        "--into",
        metavar="DIR",
        help="Folder for report.html, report.md and so on. (default: the run's own; several runs "
        "have none)",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
OpenPage = Annotated[
    bool,
    typer.Option("--open", help="Open the page in a browser.", rich_help_panel=PANEL),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="SIZES",
        help="Memory to draw and judge by on the page, beside its own round sizes: sizes and cards "
        "of aabench list gpus, such as 12GiB,t4-16gb.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Predictions = Annotated[
    bool,
    typer.Option("--predictions", help="How far off the predictions were, by form, mode and size."),
]
