"""The predicted run: a grid predicted into a run folder of its own, beside the measured ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from aabench.cases.grid import Grid
from aabench.cost.target import Target
from aabench.errors import RunError, UsageError
from aabench.runs.folder import PARQUET, TABLE, Manifest, RunFolder
from aabench.runs.grid_parts import grid_parts
from aabench.runs.in_order import in_order
from aabench.runs.lock import FolderLock
from aabench.runs.predicting import TraceObserver, facts_of, predicted_table
from aabench.runs.request import Request
from aabench.runs.sweeping import make_folder
from aabench.runs.table_file import TableFile, Write

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS = 1 << 16
"""Rows predicted together: enough for the columns to pay, few enough for many processes."""

Rendered = TypeVar("Rendered")


def predicted_run(
    request: Request,
    target: Target,
    *,
    keep: TableFile | None,
    jobs: int = 1,
    observer: TraceObserver | None = None,
) -> pd.DataFrame:
    """Predict every case of a request.

    Args:
        request: the grid, and the folder for its results.
        target: the device that is predicted for.
        keep: the file to write them to there; a prediction that is there already is replaced. None
            writes nothing.
        jobs: processes that trace networks.
        observer: is told how many cases are traced.

    Raises:
        UsageError: the folder holds something else.
        RunError: the results cannot be written.
    """
    if keep:
        _check_folder(request)
    frame = predicted_table(request.grid, target, jobs=jobs, observer=observer)
    frame.attrs = {"name": f"{request.name}, predicted", "device": facts_of(target).name}
    if keep:
        with _table_of(request, target, keep) as write:
            write(keep.encode(frame))
        frame.attrs["folder"] = str(request.folder)
    return frame


@dataclass(frozen=True)
class Part(Generic[Rendered]):
    """Some neighbouring rows of a grid, predicted.

    Attributes:
        rows: how many.
        rendered: what was asked to be made of them.
        encoded: they as the file takes them; empty where none is written.
    """

    rows: int
    rendered: Rendered
    encoded: bytes


def predicted_parts(
    request: Request,
    target: Target,
    render: Callable[[pd.DataFrame], Rendered],
    *,
    keep: TableFile | None,
    jobs: int,
) -> Iterator[Part[Rendered]]:
    """Predict a grid of layers part by part in several processes, and write what comes in grid order.

    However large the grid is, no process holds more than a few parts of it.

    Args:
        request: a grid of augmented convolutions, and the folder for its results.
        target: the device that is predicted for.
        render: is applied to each part's rows where they are predicted; of a module's top level.
        keep: the file to write; the run is there once all parts were taken.
        jobs: processes.

    Raises:
        UsageError: the folder holds something else, or a size overflows.
        RunError: the results cannot be written, or a process was ended.
    """
    function = partial(_predicted_part, target=target, render=render, keep=keep)
    parts = in_order(function, grid_parts(request.grid, PART_ROWS), jobs)
    if not keep:
        yield from parts
        return
    _check_folder(request)
    with _table_of(request, target, keep) as write:
        for part in parts:
            write(part.encoded)
            yield part


def _predicted_part(
    grid: Grid, target: Target, render: Callable[[pd.DataFrame], Rendered], keep: TableFile | None
) -> Part[Rendered]:
    frame = predicted_table(grid, target)
    return Part(len(frame), render(frame), keep.encode(frame) if keep else b"")


def _check_folder(request: Request) -> None:
    folder = RunFolder(request.folder)
    if not folder.exists:
        folder.check_target()
    elif not request.again and folder.manifest().predicted_for is None:
        raise UsageError(
            f"{request.folder} holds a run that was measured",
            instead="give another --out folder, or --again to put that run aside",
        )


@contextmanager
def _table_of(request: Request, target: Target, file: TableFile) -> Iterator[Write]:
    """The table of a new predicted run, to be written; all of it is in place afterwards, or nothing."""
    make_folder(request.folder)
    with FolderLock(request.folder):
        draft = request.folder / f"{file.name}.draft"
        try:
            with file.writer(draft) as write:
                yield write
            _put_in_place(draft, request, target, file)
        except OSError as error:
            raise RunError(f"{request.folder} cannot be written: {error.strerror}") from error
        finally:
            draft.unlink(missing_ok=True)


def _put_in_place(draft: Path, request: Request, target: Target, file: TableFile) -> None:
    """Make a finished draft the table of the run; an earlier prediction's is gone."""
    from aabench import __version__

    folder = RunFolder(request.folder)
    if request.again and folder.exists:
        folder.discard()
    folder.create(
        Manifest(
            request.name, request.grid, request.settings, __version__, predicted_for=target.label
        )
    )
    folder.write_environment({"device": facts_of(target).to_dict()})
    for name in (TABLE, PARQUET):
        (request.folder / name).unlink(missing_ok=True)
    draft.replace(request.folder / file.name)
