"""``aabench report``: a finished run again, as a table or for a program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aabench.cli.epoch_flags import Epochs, Images
from aabench.cli.output import OutputFormat, show_results

if TYPE_CHECKING:
    import pandas as pd


def report_command(
    run: Annotated[
        Path, typer.Argument(help="A folder that aabench sweep wrote, finished or not.")
    ],
    format: Annotated[OutputFormat, typer.Option(help="What goes to standard output.")] = (
        OutputFormat.table
    ),
    epochs: Epochs = None,
    images: Images = None,
    predictions: Annotated[
        bool,
        typer.Option(
            "--predictions", help="How far off the run's predictions were, by form and size."
        ),
    ] = False,
) -> None:
    """Print the results of a run again, or how good its predictions were.

    Example: aabench report results/mine --format csv > mine.csv
    """
    from aabench.runs.reading import load_run
    from aabench.runs.training_time import images_to_train, with_training_hours

    trained = images_to_train(epochs, images)
    frame = load_run(run)
    for problem in frame.attrs["problems"]:
        print(f"aabench: {problem}", file=sys.stderr)
    if not frame.attrs["complete"]:
        print("aabench: this run is not complete; its command resumes it", file=sys.stderr)
    if predictions:
        _show_predictions(frame, format)
    else:
        show_results(frame if trained is None else with_training_hours(frame, trained), format)


def _show_predictions(frame: pd.DataFrame, format: OutputFormat) -> None:
    from aabench.report.prediction_table import prediction_errors, prediction_table
    from aabench.report.records import write_csv, write_json, write_markdown
    from aabench.report.terminal import print_to

    if format is OutputFormat.table:
        print_to(sys.stdout, lambda width: prediction_table(frame, width=width))
        return
    writers = {
        OutputFormat.csv: write_csv,
        OutputFormat.json: write_json,
        OutputFormat.md: write_markdown,
    }
    writers[format](prediction_errors(frame), sys.stdout)
