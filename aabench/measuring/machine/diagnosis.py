"""The diagnosis: from what was seen of a machine to what it can measure and what to do about the rest.

Pure functions of an examination; nothing here looks at the machine.
"""

from __future__ import annotations

from collections.abc import Iterator

from aabench.measuring.machine.byte_text import gib
from aabench.measuring.machine.device_findings import device_findings, nvml_findings
from aabench.measuring.machine.disturbances import (
    card_disturbances,
    memory_disturbances,
    processor_disturbances,
    variable_disturbances,
)
from aabench.measuring.machine.examination import Examination
from aabench.measuring.machine.finding import Finding
from aabench.measuring.machine.folder_probe import FolderReading
from aabench.measuring.machine.kernel_findings import (
    compile_findings,
    kernel_findings,
    triton_findings,
)
from aabench.measuring.machine.tested_versions import version_findings

LITTLE_DISK_BYTES = 2**30
"""Free space in which a long sweep's samples may not find room."""


def diagnose(seen: Examination) -> list[Finding]:
    """Every finding, area by area."""
    return [
        *device_findings(seen),
        *nvml_findings(seen),
        *kernel_findings(seen),
        *triton_findings(seen),
        *compile_findings(seen),
        *processor_disturbances(seen.host, seen.environment),
        *memory_disturbances(seen.host),
        *variable_disturbances(seen.environment),
        *(found for name, card in seen.torch_cards for found in card_disturbances(name, card)),
        *version_findings(seen.packages),
        *results_findings(seen.results),
    ]


def results_findings(results: FolderReading) -> Iterator[Finding]:
    """Whether a sweep's rows would find a place."""
    if results.problem is not None:
        yield Finding(
            "results",
            "blocks",
            f"the folder {results.path} cannot be written: {results.problem}",
            "start from another folder, or give one with --out",
        )
        return
    free = results.free_bytes
    room = "" if free is None else f", {gib(free)} free"
    if free is not None and free < LITTLE_DISK_BYTES:
        yield Finding(
            "results",
            "warning",
            f"the folder {results.path} can be written, but has little room{room}",
            "make room before a long sweep, or give another folder with --out",
        )
    else:
        yield Finding("results", "ok", f"the folder {results.path} can be written{room}")
