"""The lines that say what a run is: its name, the device, the versions, and how its rows ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aabench.report.aligned_text import one_line
from aabench.report.quantities import duration_text
from aabench.report.side_by_side import RUN
from aabench.report.statuses import shown_status, status_counts

if TYPE_CHECKING:
    import pandas as pd

BETWEEN = " · "


def run_lines(frame: pd.DataFrame) -> list[str]:
    """One line for each run of a table; none where nothing is known of it."""
    runs: Mapping[str, Mapping[Any, Any]] | None = frame.attrs.get("runs")
    if runs is None:
        return [line] if (line := run_line(frame.attrs)) else []
    rows = {str(name): part for name, part in frame.groupby(RUN, sort=False)}
    return [_told(name, attributes, rows.get(name)) for name, attributes in runs.items()]


def run_line(attributes: Mapping[Any, Any]) -> str:
    """A run's name, device, version of torch, and how long it took, as far as they are known."""
    environment = attributes.get("environment") or {}
    torch = environment.get("torch")
    parts = [
        attributes.get("name"),
        attributes.get("device"),
        f"torch {torch}" if isinstance(torch, str) else None,
        duration_text(attributes.get("wall_s"), empty=""),
    ]
    return BETWEEN.join(one_line(str(part)) for part in parts if part)


def _told(name: str, attributes: Mapping[Any, Any], rows: pd.DataFrame | None) -> str:
    parts = [f"{one_line(name)}: {run_line({**attributes, 'name': None})}"]
    if rows is not None:
        counts = status_counts(shown_status(rows))
        parts.append(", ".join(f"{count:,} {status}" for status, count in counts.items()))
    if attributes.get("complete") is False:
        parts.append("incomplete")
    return BETWEEN.join(parts)
