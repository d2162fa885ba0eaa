"""``aabench calibrate``: measure this machine, so that its predictions come with narrow bands."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aabench.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from aabench.cases.case import Case
    from aabench.cost.calibration import Calibration
    from aabench.cost.residuals import Factors
    from aabench.report.progress import SweepProgress
    from aabench.runs.task import Outcome

SCHEMA_VERSION = 1
"""Of ``--format json``."""

Row = tuple[str, ...]


class CalibrationFormat(StrEnum):
    """How a calibration is written."""

    table = "table"
    json = "json"


def calibrate_command(
    *,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seconds: Annotated[
        float,
        typer.Option(
            help="Time for all of it, in seconds; what is not measured by then is left out."
        ),
    ] = 90.0,
    format: Annotated[CalibrationFormat, typer.Option(help="What goes to standard output.")] = (
        CalibrationFormat.table
    ),
) -> None:
    """Measure what this machine can do at best, and some cases beside their predictions.

    The result is stored for you, not for this folder: $AABENCH_CALIBRATION names another file than
    aabench/calibration.json among your caches. Predictions for this machine are then marked
    "calibrated", with bands as wide as these cases were missed. Ctrl-C keeps what was measured.

    Example: aabench calibrate --seconds 60
    """
    from aabench.cost.calibration import read_calibrations
    from aabench.errors import UsageError

    if not 0 < seconds <= 3600:
        raise UsageError("--seconds: out of range", got=seconds, allowed="above 0, up to 3600")
    read_calibrations()  # a file that cannot be read is better known before two minutes than after
    calibration, path, was_interrupted = _calibrated(device, seconds)
    if format is CalibrationFormat.json:
        _print_json(calibration, path)
    else:
        _print_tables(calibration)
        print(f"stored in {path}", file=sys.stderr)
    if was_interrupted:
        print(
            f"aabench: interrupted after {len(calibration.cases)} cases, which are kept; "
            "aabench calibrate measures anew",
            file=sys.stderr,
        )
        raise typer.Exit(EXIT_INTERRUPTED)


def _calibrated(device: str, seconds: float) -> tuple[Calibration, Path, bool]:
    """Measure and store; says as well whether Ctrl-C ended it."""
    from aabench.cli.error_console import error_console
    from aabench.cost.calibration import write_calibration
    from aabench.runs.calibrating import CalibrationPlan, calibrate

    observer = _ProgressObserver(error_console())
    try:
        calibration = calibrate(CalibrationPlan(device, seconds), observer)
    except KeyboardInterrupt as stop:
        stop.add_note("nothing was measured that could be kept, an earlier calibration stays")
        raise
    finally:
        observer.close()
    return calibration, write_calibration(calibration), observer.was_interrupted


class _ProgressObserver:
    """Draws how far a calibration has come, on standard error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: SweepProgress | None = None
        self.was_interrupted = False

    def ceiling(self, text: str) -> None:
        """Say which ceiling is measured."""
        self._console.print(f"measuring {text}", highlight=False)

    def planned(self, cases: int) -> None:
        """Start the bar."""
        from aabench.report.progress import SweepProgress

        self._bar = SweepProgress(self._console, cases, "calibrating")
        self._bar.__enter__()

    def started(self, case: Case) -> None:
        """Show what is running."""
        from aabench.runs.case_text import case_text

        if self._bar is not None:
            self._bar.started(case_text(case))

    def finished(self, case: Case, outcome: Outcome) -> None:
        """Count it, and name it if it failed."""
        if self._bar is not None:
            self._bar.finished(outcome.status, outcome.reason)

    def interrupted(self) -> None:
        """Remember it."""
        self.was_interrupted = True

    def close(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def _print_tables(calibration: Calibration) -> None:
    from aabench.report.lists import write_list

    write_list(["ceiling", "measured"], _ceiling_rows(calibration), sys.stdout)
    print()
    head = ["form", "mode", "precision", "cases", "measured / predicted: step's peak", "latency"]
    write_list(head, _band_rows(calibration), sys.stdout)


def _ceiling_rows(calibration: Calibration) -> list[Row]:
    ceilings = calibration.ceilings
    return [
        ("copy bandwidth", f"{ceilings.bandwidth_bytes_per_s / 1e9:.3g} GB/s, read and written"),
        *(
            (f"matrix rate, {name}", f"{rate / 1e9:.3g} GFLOP/s")
            for name, rate in ceilings.rates_flops_per_s.items()
        ),
        ("launch time", f"{ceilings.launch_s * 1e6:.3g} µs an operation"),
    ]


def _band_rows(calibration: Calibration) -> list[Row]:
    """One row per form, mode and precision that was measured often enough."""
    from aabench.cost.residuals import Residuals

    residuals = Residuals.of(calibration.device_type, calibration)
    steps, times = residuals.step_factors, residuals.time_factors
    return [
        (
            group[0] or "all",
            group[1] or "all",
            group[2] or "all",
            str(cases),
            _range_text(factors),
            _range_text(times[group][0]) if group in times else "",
        )
        for group, (factors, cases) in sorted(steps.items(), key=lambda item: str(item[0]))
        if group[0] is not None or group == (None, None, None)
    ]


def _range_text(factors: Factors) -> str:
    return f"{factors.low:.3g} to {factors.high:.3g}, median {factors.mid:.3g}"


def _print_json(calibration: Calibration, path: Path) -> None:
    from dataclasses import asdict

    from aabench.cost.residuals import Residuals

    residuals = Residuals.of(calibration.device_type, calibration)
    bands = [
        {
            "form": group[0],
            "mode": group[1],
            "precision": group[2],
            "cases": cases,
            "figure": figure,
            **asdict(factors),
        }
        for figure, found in (
            ("step_peak_bytes", residuals.step_factors),
            ("latency_s", residuals.time_factors),
        )
        for group, (factors, cases) in found.items()
    ]
    told = {
        "schema": SCHEMA_VERSION,
        "path": str(path),
        **calibration.to_dict(),
        "bands": bands,
    }
    print(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False))
