"""``aabench report``: runs again, as a table, for a program, or as files that others can open."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from aabench.cases.columns import STATUSES
from aabench.cli.epoch_flags import Epochs, Images
from aabench.cli.output import OutputFormat, prepare_stdout, show_results
from aabench.cli.report_flags import Budget, Format, Into, OpenPage, Predictions, Runs, To
from aabench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

ANSWERS = frozenset(STATUSES) - {"invalid"}
"""Statuses that only running a case gives."""


def report_command(
    runs: Runs,
    *,
    format: Format = None,
    to: To = None,
    into: Into = None,
    open_page: OpenPage = False,
    budget: Budget = None,
    epochs: Epochs = None,
    images: Images = None,
    predictions: Predictions = False,
) -> None:
    """Report runs: as a table here, as files for others, or how good their predictions were.

    Example: aabench report results/mine --to html,csv --open
    """
    from aabench.report.side_by_side import side_by_side
    from aabench.runs.training_time import images_to_train, with_training_hours

    formats = _file_formats(to, open_page=open_page)
    _check_flags(formats, format, predictions=predictions, into=into, budget=budget)
    folder = _folder_for(runs, into) if formats else None
    budgets = _budgets(budget)
    trained = images_to_train(epochs, images)
    frames = [_loaded(run) for run in runs]
    if trained is not None:
        frames = [with_training_hours(frame, trained) for frame in frames]
    if folder is not None:
        _write(frames, formats, folder, budgets, open_page=open_page)
    elif predictions:
        _show_predictions(side_by_side(frames), format or OutputFormat.table)
    else:
        show_results(side_by_side(frames), format or OutputFormat.table)


def _file_formats(to: str | None, *, open_page: bool) -> list[str]:
    """The formats of the files; a page that is to be opened has to be written."""
    from aabench.report.files import formats_of

    formats = [] if to is None else formats_of(to)
    return [*formats, "html"] if open_page and "html" not in formats else formats


def _check_flags(
    formats: Sequence[str],
    format: OutputFormat | None,
    *,
    predictions: bool,
    into: Path | None,
    budget: str | None,
) -> None:
    """Refuse flags that mean nothing together.

    Raises:
        UsageError: names two of them.
    """
    if formats and format is not None:
        raise UsageError("--to and --format exclude each other", instead="call it twice")
    if formats and predictions:
        raise UsageError(
            "--predictions goes to standard output, --to writes files",
            instead="give --predictions --format csv, or leave it out: the page has them",
        )
    if into is not None and not formats:
        raise UsageError("--into says where files go, and none are asked for", instead="add --to")
    if budget is not None and "html" not in formats:
        raise UsageError("--budget is for the page", instead="add --to html")


def _folder_for(runs: Sequence[Path], into: Path | None) -> Path:
    """Where the files go.

    Raises:
        UsageError: several runs, which have no folder in common, and no other one given.
    """
    if into is not None:
        return into
    if len(runs) > 1:
        raise UsageError(
            f"files about {len(runs)} runs belong to none of their folders",
            instead="add --into DIR",
        )
    return runs[0]


def _budgets(text: str | None) -> dict[str, int]:
    """Bytes by name, from sizes and cards.

    Raises:
        UsageError: neither a size nor a card.
    """
    from aabench.cases.byte_size import parse_bytes
    from aabench.cases.card import Card

    budgets: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        if part[0].isdigit():
            budgets[part] = parse_bytes(part, "--budget")
        else:
            card = Card.of(part)
            budgets[card.name] = card.usable_bytes
    return budgets


def _loaded(run: Path) -> pd.DataFrame:
    """A run, with what is amiss with it said on standard error.

    Raises:
        UsageError: no run, or one without any result yet.
    """
    from aabench.runs.reading import load_run

    frame = load_run(run)
    for problem in frame.attrs["problems"]:
        print(f"aabench: {run}: {problem}", file=sys.stderr)
    if frame.attrs["complete"]:
        return frame
    if not frame["status"].isin(ANSWERS).any():
        raise UsageError(
            f"{run} holds no result yet: none of its {len(frame):,} cases is measured",
            instead="give its command again to go on with it",
        )
    print(f"aabench: {run} is not complete; its command resumes it", file=sys.stderr)
    return frame


def _write(
    frames: Sequence[pd.DataFrame],
    formats: Sequence[str],
    folder: Path,
    budgets: dict[str, int],
    *,
    open_page: bool,
) -> None:
    """Write the files, say where they are, and open the page."""
    from aabench.cli.page_flags import published_accuracies
    from aabench.report.files import ReportedRuns, write_files

    networks = {name for frame in frames for name in frame["network"].dropna().unique()}
    accuracies = published_accuracies(networks) if "html" in formats else []
    written: list[Path] = []
    try:
        for path in write_files(ReportedRuns(frames, budgets, accuracies), formats, folder):
            written.append(path)
    finally:  # first all files, then their names: whoever reads these may go
        for path in written:
            print(path)
    for path in written:
        if open_page and path.suffix == ".html" and not webbrowser.open(path.resolve().as_uri()):
            print(f"aabench: no browser to be found; open {path} in one", file=sys.stderr)


def _show_predictions(frame: pd.DataFrame, format: OutputFormat) -> None:
    """Print how far off the predictions were.

    Raises:
        UsageError: no row has both a prediction and a measurement to hold it against.
    """
    from aabench.report.prediction_table import prediction_errors, prediction_table
    from aabench.report.records import write_csv, write_json, write_markdown
    from aabench.report.terminal import print_to

    errors = prediction_errors(frame)
    if errors.empty:
        raise _nothing_to_compare(frame)
    prepare_stdout(format)
    if format is OutputFormat.table:
        print_to(sys.stdout, lambda width: prediction_table(frame, width=width))
        return
    writers = {
        OutputFormat.csv: write_csv,
        OutputFormat.json: write_json,
        OutputFormat.md: write_markdown,
    }
    writers[format](errors, sys.stdout)


def _nothing_to_compare(frame: pd.DataFrame) -> UsageError:
    """Why there is no row to compare, and what to do about it."""
    rows = f"none of {len(frame):,} rows has both a predicted and a measured peak"
    if frame["status"].isin(("predicted", "invalid")).all():
        return UsageError(
            f"{rows}: they were predicted and never measured, so there is nothing to hold the "
            "predictions against",
            instead="give the command of the sweep without --predict, --gpu or --vram where it can "
            "run, then aabench report --predictions on that run",
        )
    return UsageError(
        f"{rows}: they failed, or have nothing predicted",
        instead="aabench report without --predictions says what became of each",
    )
