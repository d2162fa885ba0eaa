"""Runs side by side: several results as one table that says which run each row is from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aabench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

RUN = "run"
"""The column that names the run of each row."""


def side_by_side(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of one or several runs, in their order.

    Args:
        frames: results whose ``attrs`` hold the ``folder`` and the ``device`` of their run.

    Returns:
        The one frame as it is. Of several, all rows with ``RUN`` before the other columns;
        ``attrs["runs"]`` holds each run's own attributes by its name.

    Raises:
        UsageError: one run is given twice.
    """
    import pandas as pd

    if len(frames) == 1:
        return frames[0]
    names = run_names([frame.attrs["folder"] for frame in frames])
    parts = []
    for name, frame in zip(names, frames, strict=True):
        part = frame.copy()
        part.attrs = {}
        part.insert(0, RUN, pd.Series(name, index=part.index, dtype=object))
        parts.append(part)
    joined = pd.concat(parts, ignore_index=True)
    joined.attrs = _attributes(names, [frame.attrs for frame in frames])
    return joined


def run_names(folders: Sequence[str | Path]) -> list[str]:
    """The names of run folders, each with as many folders before it as it takes to tell them apart.

    Raises:
        UsageError: one folder is given twice.
    """
    paths = [Path(folder).resolve() for folder in folders]
    for path, given in zip(paths, folders, strict=True):
        if paths.count(path) > 1:
            raise UsageError("one run is given twice", got=str(given), instead="give it once")
    return [_shortest_name(path, paths) for path in paths]


def _shortest_name(path: Path, paths: Sequence[Path]) -> str:
    for length in range(1, len(path.parts)):
        last = path.parts[-length:]
        if sum(other.parts[-length:] == last for other in paths) == 1:
            return "/".join(last)
    return str(path)


def _attributes(
    names: Sequence[str], attributes: Sequence[Mapping[Any, Any]]
) -> dict[Hashable | None, Any]:
    return {
        "name": ", ".join(names),
        "runs": dict(zip(names, map(dict, attributes), strict=True)),
        "problems": [
            f"{name}: {problem}"
            for name, each in zip(names, attributes, strict=True)
            for problem in each.get("problems", ())
        ],
    }
