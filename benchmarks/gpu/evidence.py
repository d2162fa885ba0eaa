"""The evidence: a few small files in one flat folder that may be kept in a repository."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.gpu.measured import Measured

MOST_BYTES = 1_000_000
"""Of all files together."""

MOST_TEXT = 20_000
"""Characters kept of the end of a part's output."""

ROWS, SUMMARY = "rows.csv", "summary.md"


def evidence_folder(parent: Path, card: str, date: str, *, rehearsal: bool) -> Path:
    """A new folder named by card and date; a number follows where there is one already."""
    slug = re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-") or "unknown"
    stem = f"{'rehearsal' if rehearsal else 'gpu'}-{slug.removeprefix('gpu-')}-{date}"
    number, path = 1, parent / stem
    while path.exists():
        number += 1
        path = parent / f"{stem}-{number}"
    path.mkdir(parents=True)
    return path


def write_evidence(
    folder: Path, measured: Measured, machine: Mapping[str, Any], text: str
) -> list[Path]:
    """Write the files; rows that do not fit are left out, and the summary says how many.

    Returns:
        The files, at most 8 and together below ``MOST_BYTES``.
    """
    environment = {
        "machine": dict(machine),
        "environment": measured.environment,
        "doctor": measured.values("doctor").get("findings", []),
    }
    files = {
        "environment.json": json.dumps(environment, indent=1, default=str),
        "calibration.json": json.dumps(measured.values("calibrate"), indent=1),
        "repeat.json": json.dumps(_repeat(measured), indent=1),
        "tests.txt": measured.output("tests")[-MOST_TEXT:],
        "fit.txt": measured.output("fit")[-MOST_TEXT:],
    }
    taken = sum(len(content.encode()) for content in (*files.values(), text)) + 200
    files[ROWS], left_out = _rows(measured.rows, MOST_BYTES - taken)
    if left_out:
        text += f"\n{left_out} of {len(measured.rows)} rows are not in {ROWS}, for want of room.\n"
    files[SUMMARY] = text
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]


def _rows(rows: pd.DataFrame, room: int) -> tuple[str, int]:
    """The rows as CSV without empty columns, and how many did not fit into so many bytes."""
    filled = rows.dropna(axis="columns", how="all")
    head, *lines = filled.to_csv(index=False, lineterminator="\n", float_format="%.6g").splitlines(
        keepends=True
    )
    kept, size = [head], len(head.encode())
    for line in lines:
        size += len(line.encode())
        if size > room:
            break
        kept.append(line)
    return "".join(kept), len(lines) - (len(kept) - 1)


def _repeat(measured: Measured) -> dict[str, Any]:
    """The comparison of the repeated profile, without the columns that are in the rows."""
    values = measured.values("compare")
    kept = ("key", "verdict", "latency_ratio", "latency_ratio_low", "latency_ratio_high", "p_value")
    cases = values.pop("cases", [])
    return {**values, "cases": [{name: case[name] for name in kept} for case in cases]}
