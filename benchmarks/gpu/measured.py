"""What was measured: the run folders of the sweeps as one table, and the output of the other parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.part import PartResult

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Measured:
    """What all parts left.

    Attributes:
        folder: where they left it.
        results: what became of each part.
        rows: the rows of all sweeps, with the column ``part``; empty where none ran.
        environment: of the first sweep; empty where none ran.
        problems: what could not be read, one sentence each.
    """

    folder: Path
    results: Sequence[PartResult]
    rows: pd.DataFrame
    environment: dict[str, Any]
    problems: Sequence[str]

    @classmethod
    def of(cls, folder: Path, results: Sequence[PartResult], sweeps: Sequence[str]) -> Measured:
        """Read what is there; a sweep that was stopped has the rows it came to."""
        import pandas as pd

        from aabench.cases.columns import DTYPES
        from aabench.errors import AabenchError
        from aabench.runs.reading import load_run

        frames: list[pd.DataFrame] = []
        environment: dict[str, Any] = {}
        problems: list[str] = []
        for name in sweeps:
            if not (folder / name / "manifest.json").exists():
                continue
            try:
                frame = load_run(folder / name)
            except AabenchError as error:
                problems.append(f"{name}: {error}")
                continue
            environment = environment or frame.attrs["environment"]
            frame.attrs = {}
            frames.append(frame.assign(part=name))
        empty = pd.DataFrame(columns=[*DTYPES, "part"]).astype(DTYPES)
        rows = pd.concat(frames, ignore_index=True) if frames else empty
        return cls(folder, results, rows, environment, problems)

    @property
    def measured(self) -> pd.DataFrame:
        """The rows with figures."""
        return self.rows[self.rows["status"] == "ok"]

    def of_part(self, *names: str) -> pd.DataFrame:
        """The rows of some sweeps, with or without figures."""
        return self.rows[self.rows["part"].isin(names)]

    def result(self, name: str) -> PartResult:
        """What became of a part."""
        return next(result for result in self.results if result.part.name == name)

    def output(self, name: str) -> str:
        """What a part wrote to standard output; empty if it was not run."""
        path = self.folder / f"{name}.out"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def values(self, name: str) -> dict[str, Any]:
        """The JSON that a part wrote; empty if there is none, as of one that was stopped."""
        try:
            values = json.loads(self.output(name))
        except ValueError:
            return {}
        return values if isinstance(values, dict) else {}
