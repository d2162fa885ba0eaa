"""``aabench doctor``: what this machine can measure, what would disturb it, and what to do about it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aabench.errors import EXIT_NO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aabench.measuring.machine.examination import Examination
    from aabench.measuring.machine.finding import Finding

SCHEMA_VERSION = 1
"""Of ``--format json``."""


class DoctorFormat(StrEnum):
    """How findings are written."""

    table = "table"
    json = "json"


def doctor_command(
    *,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Really run torch.compile too: up to a minute per device."),
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder that results would go to; only tried, nothing stays in it.")
    ] = Path("results"),
    format: Annotated[DoctorFormat, typer.Option(help="What goes to standard output.")] = (
        DoctorFormat.table
    ),
) -> None:
    """Say what this machine can measure, what would disturb it, and what to do about it.

    Devices, attention kernels and compilers are tried in a process of their own.
    Exit code 3: something keeps this machine from measuring.

    Example: aabench doctor --thorough
    """
    from aabench.measuring.machine.diagnosis import diagnose
    from aabench.measuring.machine.finding import can_measure

    seen = _examined(out, thorough)
    findings = diagnose(seen)
    if format is DoctorFormat.json:
        _print_json(seen, findings)
    else:
        from aabench.report.findings import write_findings

        write_findings(findings, sys.stdout)
    if not can_measure(findings):
        raise typer.Exit(EXIT_NO)


def _examined(out: Path, thorough: bool) -> Examination:
    """Look at the machine; on a terminal, say at what."""
    from aabench.cli.error_console import error_console
    from aabench.measuring.machine.examination import examine

    console = error_console()
    if not console.is_terminal:
        return examine(out, thorough=thorough)
    with console.status("looking at this machine") as status:
        return examine(
            out, thorough=thorough, started=lambda stage: status.update(f"trying {stage}")
        )


def _print_json(seen: Examination, findings: Sequence[Finding]) -> None:
    """The findings, and all that they were made from."""
    from aabench.measuring.machine.finding import can_measure

    told = {
        "schema": SCHEMA_VERSION,
        "can_measure": can_measure(findings),
        "findings": [asdict(finding) for finding in findings],
        "seen": asdict(seen),
    }
    print(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False))
