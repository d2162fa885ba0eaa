"""The flags of a sweep that is predicted and not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aabench.cli.card_flags import PANEL
from aabench.errors import UsageError

if TYPE_CHECKING:
    from aabench.runs.table_file import TableFile

MOST_JOBS = 1024

Predict = Annotated[
    bool,
    typer.Option(
        "--predict",
        help="Predict every case and run none; files only with --out.",
        rich_help_panel=PANEL,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        help="Processes that predict. (default: one per core)",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Parquet = Annotated[
    bool,
    typer.Option(
        "--parquet",
        help="With --out: results.parquet in place of results.csv. Needs the extra parquet of aabench.",
        rich_help_panel=PANEL,
    ),
]


def check_jobs(jobs: int | None, *, predicts: bool) -> None:
    """Refuse a number of processes that cannot be, or that measuring would not heed.

    Raises:
        UsageError: the number, or the flag itself.
    """
    if jobs is None:
        return
    if not 1 <= jobs <= MOST_JOBS:
        raise UsageError("--jobs is out of range", got=jobs, allowed=f"1 to {MOST_JOBS}")
    if not predicts:
        raise UsageError(
            "--jobs is for predictions: cases that are measured side by side disturb each other",
            instead="add --predict, or spread cases with --device all or --ray",
        )


def kept_as(*, parquet: bool, predicts: bool, has_folder: bool) -> TableFile | None:
    """The file that a prediction is to be written to; None for none.

    Raises:
        UsageError: Parquet where no prediction is kept, or where nothing can write it.
    """
    if parquet and not (predicts and has_folder):
        raise UsageError(
            "--parquet is for predictions that are kept",
            instead="add --predict and --out DIR; of a measured run, aabench report RUN --to parquet",
        )
    if not (predicts and has_folder):
        return None
    from aabench.runs.table_file import CsvFile, ParquetFile

    if not parquet:
        return CsvFile()
    from aabench.report.parquet import check_parquet, parquet_of

    check_parquet()
    return ParquetFile(parquet_of)
