"""The flags that say where a sweep's rows go, and what may be overwritten or done again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aabench.cli.output import OutputFormat

OUTPUT_PANEL = "Output"
SAFETY_PANEL = "Safety"

Out = Annotated[
    Path | None,
    typer.Option(
        help="Run folder. (default: results/NAME-HASH, the same for the same command)",
        rich_help_panel=OUTPUT_PANEL,
        show_default=False,
    ),
]
Format = Annotated[
    OutputFormat, typer.Option(help="What goes to standard output.", rich_help_panel=OUTPUT_PANEL)
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show the cases and the estimated time; run nothing.",
        rich_help_panel=SAFETY_PANEL,
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", help="Measure more than a million cases.", rich_help_panel=SAFETY_PANEL),
]
Again = Annotated[
    bool,
    typer.Option(
        "--again", help="Put an earlier run aside and start anew.", rich_help_panel=SAFETY_PANEL
    ),
]
Retry = Annotated[
    bool,
    typer.Option(
        "--retry", help="Measure again what crashed or timed out.", rich_help_panel=SAFETY_PANEL
    ),
]
