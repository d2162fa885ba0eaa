"""The request: what a sweep is asked for, checked as a whole before anything is started or written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aabench.cases.grid import Grid
from aabench.cases.profile import find_profile
from aabench.errors import UsageError
from aabench.runs.settings import RunSettings

MOST_CASES = 1_000_000
"""Cases that are measured without being asked twice."""

FLOOR = "min_key_depth_per_head"


@dataclass(frozen=True)
class Request:
    """What a sweep was asked for.

    Attributes:
        name: of the run; a profile's name or ``sweep``.
        grid: the cases.
        settings: how to measure them.
        folder: where the rows go.
        again: put an earlier run in this folder aside and start anew.
        retry: measure again what crashed or timed out.
        ray: the address of the Ray cluster to run on, ``local`` for one of this machine alone; None
            for no cluster. Where a run is measured is no part of what it is: it can go on elsewhere.
    """

    name: str
    grid: Grid
    settings: RunSettings
    folder: Path
    again: bool = False
    retry: bool = False
    ray: str | None = None

    @classmethod
    def of(
        cls,
        profile: str | None,
        axes: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        out: str | Path | None = None,
        again: bool = False,
        retry: bool = False,
        yes: bool = False,
        ray: str | None = None,
    ) -> Request:
        """A request from a profile's name or path and from what overrides it.

        ``settings`` may hold ``min_key_depth_per_head`` too, as a profile's may.

        Raises:
            UsageError: anything that cannot be used; a grid without one possible case; more than a
                million cases without ``yes``.
        """
        given = {name: value for name, value in axes.items() if value is not None}
        name, base_settings = "sweep", {}
        if profile is not None:
            found = find_profile(profile)
            name, base_settings = found.name, found.settings
            given = found.overridden(given)
        merged = {
            **base_settings,
            **{key: value for key, value in settings.items() if value is not None},
        }
        floor = merged.pop(FLOOR, None)
        run_settings = RunSettings.of(merged)
        grid = Grid.of(given, min_key_depth_per_head=floor)
        _check_size(grid, yes)
        _check_possible(grid)
        folder = Path(out) if out is not None else _default_folder(name, grid, run_settings)
        return cls(name, grid, run_settings, folder, again, retry, ray)


def _check_size(grid: Grid, yes: bool) -> None:
    if len(grid) > MOST_CASES and not yes:
        raise UsageError(
            "this grid has more than a million cases to measure",
            got=f"{len(grid):,}",
            instead="sweep fewer values, or say --yes",
        )


def _check_possible(grid: Grid) -> None:
    first = None
    for entry in grid.entries():
        if entry.problem is None:
            return
        first = first or entry.problem
    which = "this layer is" if len(grid) == 1 else f"all {len(grid):,} layers of this grid are"
    raise UsageError(f"{which} impossible: {first}")


def _default_folder(name: str, grid: Grid, settings: RunSettings) -> Path:
    """``results/NAME-HASH8``: the same command finds the same folder again."""
    text = json.dumps([grid.to_dict(), settings.to_dict()], sort_keys=True)
    return Path("results") / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
