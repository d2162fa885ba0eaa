"""Reading a run folder back: its table, whole or as far as it has come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aabench.cases.columns import DTYPES
from aabench.errors import RunError, UsageError
from aabench.runs.device_facts import UNKNOWN_DEVICE, DeviceFacts
from aabench.runs.folder import TABLE, Manifest, RunFolder
from aabench.runs.plan import Plan
from aabench.runs.table import merge_records, table_of, typed

if TYPE_CHECKING:
    import pandas as pd


def load_run(path: str | Path) -> pd.DataFrame:
    """The results of a run folder, one row per case in grid order.

    ``frame.attrs`` says what the run is: ``name``, ``folder``, ``device``, ``environment``,
    ``complete`` (whether every case has all its rounds) and ``problems`` (what was found damaged).

    Args:
        path: a folder that ``aabench sweep`` wrote, finished or not.

    Raises:
        UsageError: not a run folder, or one of a newer schema.
    """
    folder = RunFolder(Path(path))
    if not folder.path.is_dir():
        raise UsageError(
            "no such run folder", got=str(path), instead="give a folder of aabench sweep"
        )
    manifest = folder.manifest()
    environment = folder.environment()
    facts = device_of(environment)
    frame = _stored_table(folder, manifest)
    complete = frame is not None
    if frame is None:
        plan = Plan.of(manifest.grid, facts)
        records = list(folder.records())
        frame = table_of(plan, merge_records(records))
        complete = _is_complete(plan, records, manifest.settings.rounds)
    frame.attrs = {
        "name": manifest.name,
        "folder": str(folder.path),
        "device": facts.name,
        "environment": environment or {},
        "complete": complete,
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
    import pandas as pd

    if manifest.predicted_for is None and not folder.is_sealed:
        return None
    if not (folder.path / TABLE).exists():
        raise UsageError(
            f"{folder.path} was to hold a prediction, which was cut short",
            instead="predict it again",
        )
    plain = {name: kind for name, kind in DTYPES.items() if kind != "boolean"}
    return typed(pd.read_csv(folder.path / TABLE, dtype=plain))


def _is_complete(plan: Plan, records: list[Any], rounds: int) -> bool:
    seen: dict[str, set[int]] = {}
    failed: set[str] = set()
    for record in records:
        seen.setdefault(record.key, set()).add(record.round)
        if record.outcome.status == "ok":
            failed.discard(record.key)
        else:
            failed.add(record.key)
    return all(key in failed or len(seen.get(key, ())) >= rounds for key in plan.cases)
