"""The compared run: one measured run folder with its cases by content hash, and their samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aabench.errors import UsageError
from aabench.runs.folder import RunFolder
from aabench.runs.ledger import Ledger
from aabench.runs.reading import load_run

PENDING = "pending"
"""The status of a case that an unfinished run has not come to."""


class ComparedRun:
    """One side of a comparison, read from its folder.

    Attributes:
        path: the run folder.
        device: the name of what it ran on.
        is_complete: whether all cases have all their rounds.
        environment: what it was measured in.
        settings: how it was measured.
        dtypes: the pandas type of each column.
        rows: the columns of each case by its key; what is not there is None.

    Raises:
        UsageError: no run folder, or one that holds a prediction.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = RunFolder(Path(path))
        frame = load_run(path)
        manifest = self._folder.manifest()
        if manifest.predicted_for is not None:
            raise UsageError(
                "only measured runs can be compared",
                got=f"{path}, which was predicted for {manifest.predicted_for}",
                instead="aabench report RUN --format csv has its figures",
            )
        self.path = self._folder.path
        self.device: str = frame.attrs["device"]
        self.is_complete: bool = frame.attrs["complete"]
        self.environment: dict[str, Any] = frame.attrs["environment"]
        self.settings = manifest.settings.to_dict()
        self.dtypes = frame.dtypes.to_dict()
        # A grid may hold one case several times, as where two kappas give one dk.
        cases = frame[frame["key"].notna()].drop_duplicates("key")
        values = cases.astype(object).where(cases.notna(), None).to_dict("records")
        rows = [{str(name): value for name, value in row.items()} for row in values]
        self.rows: dict[str, dict[str, Any]] = {row["key"]: row for row in rows}
        self._damaged: list[str] = frame.attrs["problems"]
        self._ledger = Ledger()
        for record in self._folder.records():
            self._ledger.enter(record)

    @property
    def has_results(self) -> bool:
        """Whether any case has come to an end."""
        return any(row["status"] for row in self.rows.values())

    @property
    def problems(self) -> tuple[str, ...]:
        """What was found damaged so far, one sentence each."""
        return tuple(dict.fromkeys([*self._damaged, *self._folder.problems]))

    def status(self, key: str) -> str:
        """The status of a case, ``pending`` where it has none yet."""
        return self.rows[key]["status"] or PENDING

    def samples(self, key: str) -> list[float]:
        """Seconds per step of all rounds of a case."""
        places = self._ledger.all_samples(key)
        return [sample for place in places for sample in self._folder.samples(place)]
