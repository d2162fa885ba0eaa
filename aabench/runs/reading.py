"""Reading a run folder back: its table, whole or as far as it has come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aabench.cases.columns import COLUMN_NAMES, DTYPES
from aabench.errors import RunError, UsageError
from aabench.runs.device_facts import UNKNOWN_DEVICE, DeviceFacts
from aabench.runs.folder import PARQUET, ROWS, TABLE, Manifest, Record, RunFolder
from aabench.runs.ledger import Ledger
from aabench.runs.plan import Plan
from aabench.runs.run_environment import devices_in
from aabench.runs.table import merge_records, table_of, typed

if TYPE_CHECKING:
    import pandas as pd


def load_run(path: str | Path) -> pd.DataFrame:
    """The results of a run folder, one row per case in grid order.

    ``frame.attrs`` says what the run is: ``name``, ``folder``, ``device``, ``environment``,
    ``complete`` (whether every case has all its rounds), ``version`` (of the aabench that wrote it),
    ``settings`` (how it was measured) and ``problems`` (what was found damaged). Columns
    that an older aabench did not have are empty.

    Args:
        path: a folder that ``aabench sweep`` wrote, finished or not.

    Raises:
        UsageError: not a run folder, one of another schema, or a prediction that is damaged.
    """
    folder = RunFolder(Path(path))
    if not folder.path.is_dir():
        what = "a file is no run folder" if folder.path.is_file() else "no such run folder"
        raise UsageError(what, got=str(path), instead="give a folder of aabench sweep")
    manifest = folder.manifest()
    environment = folder.environment()
    facts = device_of(environment)
    frame = _stored_table(folder, manifest)
    complete = frame is not None
    if frame is None:
        plan = Plan.of(manifest.grid, facts)
        records = list(folder.records())
        _name_strangers(folder, plan, records, manifest)
        frame = table_of(plan, merge_records(records))
        complete = _is_complete(plan, records, manifest.settings.rounds)
    frame.attrs = {
        "name": manifest.name,
        "folder": str(folder.path),
        "device": devices_in(environment) or facts.name,
        "environment": environment or {},
        "complete": complete,
        "version": manifest.version,
        "settings": manifest.settings.to_dict(),
        "problems": list(folder.problems),
    }
    return frame


def device_of(environment: dict[str, Any] | None) -> DeviceFacts:
    """The device that a stored environment names."""
    if environment is None or "device" not in environment:
        return UNKNOWN_DEVICE
    return DeviceFacts.from_dict(environment["device"])


def write_table(folder: Path) -> pd.DataFrame:
    """Write ``results.csv`` from the records and return its table.

    Raises:
        RunError: there is no room for it; the records it is made from are kept.
    """
    frame = load_run(folder)
    draft = folder / f"{TABLE}.draft"
    try:
        frame.to_csv(draft, index=False)
        draft.replace(folder / TABLE)
        if frame.attrs["complete"] and not frame.attrs["problems"]:
            RunFolder(folder).seal()
    except OSError as error:
        raise RunError(f"{folder / TABLE} cannot be written: {error.strerror}") from error
    return frame


def _stored_table(folder: RunFolder, manifest: Manifest) -> pd.DataFrame | None:
    """The table of a complete run from its CSV, if neither it nor the records changed since.

    Merging a hundred thousand records takes many times as long as reading what came of them. A run
    that was only predicted has no records.
    """
    is_prediction = manifest.predicted_for is not None
    if not is_prediction and not folder.is_sealed:
        return None
    parquet = folder.path / PARQUET
    if is_prediction and parquet.exists():
        import pandas as pd

        return typed(pd.read_parquet(parquet).reindex(columns=list(COLUMN_NAMES)))
    if not (folder.path / TABLE).exists():
        raise UsageError(
            f"{folder.path} was to hold a prediction, which was cut short",
            instead="predict it again",
        )
    try:
        return _read_table(folder.path / TABLE)
    except (ValueError, TypeError) as error:
        if is_prediction:
            said = " ".join(str(error).split())
            raise UsageError(
                f"{folder.path / TABLE} is damaged: {said}",
                instead="predict it again",
            ) from error
        folder.problems.append(f"{TABLE} is damaged; its rows were taken from the records")
        return None


def _read_table(path: Path) -> pd.DataFrame:
    """A table as ``to_csv`` wrote it, with every column of the schema.

    Raises:
        ValueError, TypeError: it is no such table.
    """
    import pandas as pd

    plain = {name: kind for name, kind in DTYPES.items() if kind != "boolean"}
    found = pd.read_csv(path, dtype=plain)
    if not {"status", "mode", "batch"} <= set(found.columns):
        raise ValueError("it lacks the columns of results")
    others = [name for name in found.columns if name not in COLUMN_NAMES]
    return typed(found.reindex(columns=[*COLUMN_NAMES, *others]))


def _name_strangers(
    folder: RunFolder, plan: Plan, records: Sequence[Record], manifest: Manifest
) -> None:
    """Say which records belong to no case of the grid, as those of an older aabench may."""
    strangers = {record.key for record in records} - set(plan.cases)
    if strangers:
        folder.problems.append(
            f"{ROWS} has records of {len(strangers)} cases that are not in the grid, left out; aabench "
            f"{manifest.version} wrote it"
        )


def _is_complete(plan: Plan, records: Sequence[Record], rounds: int) -> bool:
    ledger = Ledger()
    for record in records:
        ledger.enter(record)
    return not any(
        ledger.is_due(key, number, retry=False) for key in plan.cases for number in range(rounds)
    )
