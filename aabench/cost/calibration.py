"""The calibration of a machine: its measured ceilings and a few measured cases, in one file per user.

``aabench calibrate`` writes it; predictions read it. What was predicted is not stored: it is computed
anew from the cases, so that the bands are those of the closed forms as they are now.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aabench.cases.case import Case
from aabench.cases.ceilings import Ceilings
from aabench.errors import UsageError

SCHEMA_VERSION = 1

PATH_VARIABLE = "AABENCH_CALIBRATION"
"""The environment variable that names another file."""


@dataclass(frozen=True, slots=True)
class MeasuredCase:
    """One case and what it really cost.

    Attributes:
        case: a resolved layer case.
        peak_allocated_bytes: as in the results; None if it was not measured.
        step_peak_bytes: the step's share of it.
        latency_s: median seconds of a warm step; None if it was not measured.
    """

    case: Case
    peak_allocated_bytes: int | None
    step_peak_bytes: int | None
    latency_s: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known by measurement of one device.

    Attributes:
        device_type: ``cpu`` or ``cuda``.
        device_name: the processor's or card's name.
        threads: CPU threads that were used.
        torch: its version.
        date: of the measurement, as ISO 8601 text.
        ceilings: measured.
        cases: measured under these.
    """

    device_type: str
    device_name: str
    threads: int
    torch: str
    date: str
    ceilings: Ceilings
    cases: tuple[MeasuredCase, ...]

    def to_dict(self) -> dict[str, Any]:
        """The calibration as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """The calibration that ``to_dict`` wrote."""
        cases = tuple(
            MeasuredCase(**{**item, "case": Case.from_dict(item["case"])})
            for item in values["cases"]
        )
        return cls(**{**values, "ceilings": Ceilings(**values["ceilings"]), "cases": cases})


def calibration_path() -> Path:
    """The file of this user: ``$AABENCH_CALIBRATION``, or ``aabench/calibration.json`` among caches."""
    named = os.environ.get(PATH_VARIABLE)
    if named:
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "aabench" / "calibration.json"


def read_calibrations(path: Path | None = None) -> list[Calibration]:
    """All calibrations of a file, none if there is no such file.

    Args:
        path: the file; by default the user's.

    Raises:
        UsageError: the file is there and is no calibration.
    """
    path = calibration_path() if path is None else path
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["schema"] != SCHEMA_VERSION:
            raise ValueError(f"schema {stored['schema']}, not {SCHEMA_VERSION}")
        return [Calibration.from_dict(values) for values in stored["calibrations"]]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: not a calibration ({type(error).__name__}: {error})",
            instead="remove the file and run aabench calibrate",
        ) from error


def find_calibration(
    device_type: str, device_names: Sequence[str] = (), path: Path | None = None
) -> Calibration | None:
    """The calibration of a device, None if there is none.

    Args:
        device_type: ``cpu`` or ``cuda``.
        device_names: what the device may be called; without any, the latest calibration of the
            type is taken.
        path: see ``read_calibrations``.

    Raises:
        UsageError: see ``read_calibrations``.
    """
    fitting = [
        calibration
        for calibration in read_calibrations(path)
        if calibration.device_type == device_type
        and (not device_names or calibration.device_name in device_names)
    ]
    return max(fitting, key=lambda calibration: calibration.date, default=None)


def write_calibration(calibration: Calibration, path: Path | None = None) -> Path:
    """Store a calibration in the place of an older one of the same device, whole or not at all.

    Returns:
        The file.

    Raises:
        UsageError: see ``read_calibrations``; or the file cannot be written.
    """
    path = calibration_path() if path is None else path
    device = (calibration.device_type, calibration.device_name)
    others = [
        other
        for other in read_calibrations(path)
        if (other.device_type, other.device_name) != device
    ]
    stored = {
        "schema": SCHEMA_VERSION,
        "calibrations": [item.to_dict() for item in (*others, calibration)],
    }
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}",
            instead=f"name another file in the environment variable {PATH_VARIABLE}",
        ) from error
    return path
