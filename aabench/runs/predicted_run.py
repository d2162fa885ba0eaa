"""The predicted run: a grid predicted into a run folder of its own, beside the measured ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aabench.cost.target import Target
from aabench.errors import RunError, UsageError
from aabench.runs.folder import TABLE, Manifest, RunFolder
from aabench.runs.lock import FolderLock
from aabench.runs.predicting import facts_of, predicted_table
from aabench.runs.request import Request
from aabench.runs.sweeping import make_folder

if TYPE_CHECKING:
    import pandas as pd


def predicted_run(request: Request, target: Target, *, keep: bool) -> pd.DataFrame:
    """Predict every case of a request.

    Args:
        request: the grid, and the folder for its results.
        target: the device that is predicted for.
        keep: whether to write them there; a prediction that is there already is replaced.

    Raises:
        UsageError: the folder holds something else.
        RunError: the results cannot be written.
    """
    if keep:
        _check_folder(request)
    frame = predicted_table(request.grid, target)
    frame.attrs = {"name": f"{request.name}, predicted", "device": facts_of(target).name}
    if keep:
        _write(frame, request, target)
        frame.attrs["folder"] = str(request.folder)
    return frame


def _check_folder(request: Request) -> None:
    folder = RunFolder(request.folder)
    if not folder.exists:
        folder.check_target()
    elif not request.again and folder.manifest().predicted_for is None:
        raise UsageError(
            f"{request.folder} holds a run that was measured",
            instead="give another --out folder, or --again to put that run aside",
        )


def _write(frame: pd.DataFrame, request: Request, target: Target) -> None:
    from aabench import __version__

    make_folder(request.folder)
    with FolderLock(request.folder):
        folder = RunFolder(request.folder)
        if request.again and folder.exists:
            folder.discard()
        manifest = Manifest(
            request.name, request.grid, request.settings, __version__, predicted_for=target.label
        )
        draft = request.folder / f"{TABLE}.draft"
        try:
            frame.to_csv(draft, index=False)
            folder.create(manifest)
            folder.write_environment({"device": facts_of(target).to_dict()})
            draft.replace(request.folder / TABLE)
        except OSError as error:
            raise RunError(f"{request.folder} cannot be written: {error.strerror}") from error
