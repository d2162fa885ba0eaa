"""The run folder: what a sweep leaves on disk, appended as it exists and readable after any crash."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aabench.cases.columns import SCHEMA_VERSION
from aabench.cases.grid import Grid
from aabench.errors import RunError, UsageError
from aabench.runs.settings import RunSettings
from aabench.runs.task import Outcome, Task

MANIFEST, ENVIRONMENT, ROWS, SAMPLES, TABLE, SEAL = (
    "manifest.json",
    "environment.json",
    "rows.jsonl",
    "samples.jsonl",
    "results.csv",
    "results.sealed",
)

PARQUET = "results.parquet"
"""Stands in for the table of a prediction that was asked for as Parquet."""


@dataclass(frozen=True)
class Manifest:
    """What a run is of: enough to make its rows again, in order.

    ``predicted_for`` names the device of a run that was predicted and not measured; its rows are in
    ``results.csv`` alone.
    """

    name: str
    grid: Grid
    settings: RunSettings
    version: str
    schema: int = SCHEMA_VERSION
    predicted_for: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON-ready values."""
        return {
            "schema": self.schema,
            "aabench": self.version,
            "name": self.name,
            "grid": self.grid.to_dict(),
            "settings": self.settings.to_dict(),
            "predicted_for": self.predicted_for,
        }


@dataclass(frozen=True)
class Record:
    """One line of ``rows.jsonl``: one round of one case.

    ``sample_place`` is where in ``samples.jsonl`` its samples stand, as (offset, length).
    """

    key: str
    round: int
    attempt: int
    outcome: Outcome
    sample_place: tuple[int, int] | None = None

    @property
    def kind(self) -> str | None:
        """The model of the device it ran on; None in records of runs that did not note it."""
        return self.outcome.figures.get("device_name")


@dataclass
class RunFolder:
    """A run folder on disk.

    Attributes:
        path: the folder.
        problems: what was found damaged while reading, one sentence each; the rest was kept.
    """

    path: Path
    problems: list[str] = field(default_factory=list)

    @property
    def exists(self) -> bool:
        """Whether there is anything here to resume or to read."""
        return (self.path / MANIFEST).exists() or (self.path / ROWS).exists()

    def create(self, manifest: Manifest) -> None:
        """Make the folder and write its manifest.

        Raises:
            UsageError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _write_json(self.path / MANIFEST, manifest.to_dict())
        except OSError as error:
            raise UsageError(
                f"the folder {self.path} cannot be written: {error.strerror}",
                instead="give another --out folder",
            ) from error

    def check_target(self) -> None:
        """Refuse a path that a run must not be put into.

        Raises:
            UsageError: a file, or a folder with other things in it.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"--out {self.path} is a file", instead="give a folder")
        if self.path.is_dir() and not self.exists:
            others = sorted(entry.name for entry in self.path.iterdir() if entry.name != "lock")
            if others:
                raise UsageError(
                    f"--out {self.path} holds other things and no run",
                    got=", ".join(others[:5]),
                    instead="give a new or empty folder",
                )

    def manifest(self) -> Manifest:
        """Read the manifest.

        Raises:
            UsageError: missing, damaged, or of another schema.
        """
        path = self.path / MANIFEST
        if not path.exists():
            hint = "its rows are still in rows.jsonl" if (self.path / ROWS).exists() else None
            raise UsageError(
                f"{self.path} is not a run folder: it has no {MANIFEST}",
                instead=hint or "give a folder that aabench sweep wrote",
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            schema = int(values["schema"])
            if schema != SCHEMA_VERSION:
                raise _other_schema(path, schema, values)
            return Manifest(
                name=str(values["name"]),
                grid=Grid.from_dict(values["grid"]),
                settings=RunSettings.of(values["settings"]),
                version=str(values["aabench"]),
                schema=schema,
                predicted_for=values.get("predicted_for"),
            )
        except UsageError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise UsageError(
                f"{path} is damaged: {type(error).__name__}: {error}",
                instead=f"the rows are still in {ROWS}; start anew with --again",
            ) from error

    def environment(self) -> dict[str, Any] | None:
        """The environment that the first rows were measured in; None before there are any."""
        path = self.path / ENVIRONMENT
        if not path.exists():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            values = None
        if isinstance(values, dict) and _names_device(values.get("device")):
            return values
        self.problems.append(f"{ENVIRONMENT} is damaged and was left out")
        return None

    def write_environment(self, environment: dict[str, Any]) -> None:
        """Store the environment whole, in the place of what was stored before."""
        _write_json(self.path / ENVIRONMENT, environment)

    def append(self, task: Task, outcome: Outcome) -> Record:
        """Store one outcome, samples first, so that no record points at samples that are not there.

        Raises:
            RunError: the file system is full or gone; what was stored before stays readable.
        """
        try:
            place = self._append_samples(task, outcome.samples_s) if outcome.samples_s else None
            record = Record(task.case.key, task.round, task.attempt, outcome, place)
            _append_line(self.path / ROWS, _record_line(record, task))
        except OSError as error:
            raise RunError(
                f"the results cannot be written to {self.path}: {error.strerror}. All earlier rows are "
                "kept; make room and give the same command to go on from here"
            ) from error
        return record

    def records(self) -> Iterator[Record]:
        """Every readable record; the latest attempt of a round comes last.

        Damaged lines are left out and named in ``problems``.
        """
        path = self.path / ROWS
        if not path.exists():
            return
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield _read_record(line)
                except (ValueError, KeyError, TypeError) as error:
                    self.problems.append(
                        f"{ROWS} line {number} is damaged and was left out ({type(error).__name__}); "
                        "its case will be measured again"
                    )

    def samples(self, place: tuple[int, int]) -> list[float]:
        """The samples at an (offset, length) that a record gave, in seconds per step."""
        offset, length = place
        with (self.path / SAMPLES).open("rb") as stream:
            stream.seek(offset)
            line = stream.read(length)
        try:
            return [float(value) for value in json.loads(line)["samples_s"]]
        except (ValueError, KeyError, TypeError):
            self.problems.append(
                f"{SAMPLES} is damaged at byte {offset}: these samples were left out"
            )
            return []

    @property
    def is_sealed(self) -> bool:
        """Whether ``results.csv`` is of a complete run and of the records as they are now."""
        path = self.path / SEAL
        if not path.exists():
            return False
        try:
            sealed = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return False
        return bool(sealed == self._fingerprint())

    def seal(self) -> None:
        """Note that ``results.csv`` holds the whole run."""
        _write_json(self.path / SEAL, self._fingerprint())

    def _fingerprint(self) -> dict[str, Any]:
        """What changes when the manifest, the records or the table do."""
        names = (MANIFEST, ENVIRONMENT, ROWS, TABLE)
        status = {name: (self.path / name).stat() for name in names if (self.path / name).exists()}
        return {name: [found.st_size, found.st_mtime_ns] for name, found in status.items()}

    def discard(self) -> None:
        """Move an earlier run out of the way: its files stay beside the new ones, with its time."""
        stamp = time.strftime("%Y%m%dT%H%M%S")
        for name in (MANIFEST, ENVIRONMENT, ROWS, SAMPLES, TABLE, PARQUET, SEAL):
            path = self.path / name
            if path.exists():
                path.rename(path.with_name(f"{name}.before-{stamp}"))

    def _append_samples(self, task: Task, samples_s: list[float]) -> tuple[int, int]:
        line = {"key": task.case.key, "round": task.round, "attempt": task.attempt}
        return _append_line(self.path / SAMPLES, {**line, "samples_s": samples_s})


def _names_device(device: object) -> bool:
    """Whether the device of an environment is one, or is not said at all."""
    if device is None:
        return True
    if not isinstance(device, dict) or not {"device", "name"} <= set(device):
        return False
    capability = device.get("capability")
    if capability is None:
        return True
    return isinstance(capability, list) and [type(each) for each in capability] == [int, int]


def _other_schema(path: Path, schema: int, values: dict[str, Any]) -> UsageError:
    """Why a manifest of another schema cannot be read, and what can be done."""
    if schema > SCHEMA_VERSION:
        age, instead = "a newer", "upgrade aabench to read it"
    else:
        age = "an older"
        instead = (
            f"aabench {values.get('aabench', 'of that time')} reads it, and any program reads {TABLE} beside "
            "it; or measure anew with --again"
        )
    return UsageError(
        f"{path} was written by {age} aabench",
        got=f"schema {schema}",
        allowed=f"schema {SCHEMA_VERSION}",
        instead=instead,
    )


def _record_line(record: Record, task: Task) -> dict[str, Any]:
    outcome = record.outcome
    return {
        "key": record.key,
        "round": record.round,
        "attempt": record.attempt,
        "status": outcome.status,
        "reason": outcome.reason,
        "device": outcome.device,
        "case": task.case.to_dict(),
        "figures": outcome.figures,
        "warnings": outcome.warnings,
        "sample_warnings": outcome.sample_warnings,
        "phases_s": outcome.phases_s,
        "samples": record.sample_place,
    }


def _read_record(line: bytes) -> Record:
    values = json.loads(line)
    outcome = Outcome(
        status=str(values["status"]),
        reason=values["reason"],
        figures=dict(values["figures"]),
        warnings=list(values["warnings"]),
        sample_warnings=list(values["sample_warnings"]),
        device=str(values["device"]),
        phases_s=dict(values["phases_s"]),
    )
    place = values["samples"]
    return Record(
        key=str(values["key"]),
        round=int(values["round"]),
        attempt=int(values["attempt"]),
        outcome=outcome,
        sample_place=None if place is None else (int(place[0]), int(place[1])),
    )


def _append_line(path: Path, values: dict[str, Any]) -> tuple[int, int]:
    """Append one line durably; a cut-off line before it is closed off first.

    Returns:
        (offset, length) of the line.
    """
    line = json.dumps(values, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
            size += 1
        written = os.write(descriptor, line)
        if written != len(line):
            raise OSError(28, "No space left on device")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return size, len(line)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    """Replace a file whole: readers see the old one or the new one."""
    draft = path.with_name(path.name + ".draft")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(values, stream, indent=2, default=str)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
