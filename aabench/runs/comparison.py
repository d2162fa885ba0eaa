"""The comparison of two run folders: the cases they share, side by side, and what else differed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aabench.cases.columns import COLUMNS
from aabench.errors import UsageError
from aabench.measuring.comparability import Difference, differences
from aabench.measuring.latency_comparison import compare_latencies
from aabench.runs.compared_run import ComparedRun

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_THRESHOLD = 0.05
"""Relative difference of medians that matters, unless told otherwise."""

BOTH, ONLY_A, ONLY_B = "both", "A", "B"
"""Which of the runs a case is in."""

CASE_COLUMNS = tuple(
    column.name
    for column in COLUMNS
    if column.group == "case" and not column.name.startswith("device")
)
"""What tells cases apart, the key included."""

PEAKS = {"peak_allocated_bytes": "peak_ratio", "step_peak_bytes": "step_peak_ratio"}
"""Figures without samples: their columns in a run, and the column of the ratio."""

DTYPES = {
    "found_in": "object",
    "verdict": "object",
    "reason": "object",
    "latency_ratio": "float64",
    "latency_ratio_low": "float64",
    "latency_ratio_high": "float64",
    "p_value": "float64",
    "peak_ratio": "float64",
    "step_peak_ratio": "float64",
    "status_a": "object",
    "status_b": "object",
    "latency_median_a_s": "float64",
    "latency_median_b_s": "float64",
    "samples_a": "Int64",
    "samples_b": "Int64",
    "peak_allocated_a_bytes": "Int64",
    "peak_allocated_b_bytes": "Int64",
    "step_peak_a_bytes": "Int64",
    "step_peak_b_bytes": "Int64",
}
"""The columns of a comparison, in front of those of the case, and their types; ratios are B / A."""


@dataclass(frozen=True)
class RunComparison:
    """Two runs, case by case.

    Attributes:
        a: the run that is compared with.
        b: the run that is judged: slower means that B takes longer than A.
        threshold: the relative difference that matters, 0.05 for 5 %.
        differences: what the runs' environments, devices and settings do not agree on.
        frame: one row per case, those of both runs in the order of A, then those of one run alone;
            columns ``DTYPES`` and ``CASE_COLUMNS``. ``verdict`` is one of
            ``aabench.measuring.latency_comparison.Verdict``; None where a side was not measured,
            and ``reason`` then says why.
    """

    a: ComparedRun
    b: ComparedRun
    threshold: float
    differences: tuple[Difference, ...]
    frame: pd.DataFrame

    @property
    def verdicts(self) -> dict[str, int]:
        """How many cases have each verdict."""
        return dict(Counter(self.frame["verdict"].dropna()))


def compare_runs(
    a: str | Path, b: str | Path, *, threshold: float = DEFAULT_THRESHOLD
) -> RunComparison:
    """Compare two run folders case by case, by the cases' content hashes.

    A case has the same hash on every device and with every torch, so runs of two machines compare
    as two runs of one do; what differed between them is said beside the cases.

    Args:
        a: the folder of the run that is compared with.
        b: the folder of the run that is judged.
        threshold: the relative difference of latencies that matters, from 0 on.

    Raises:
        UsageError: one is no run folder or holds a prediction, or they have no case in common.
    """
    if not 0 <= threshold < float("inf"):
        raise UsageError("the threshold is no share", got=threshold, allowed="0 or more, as 0.05")
    first, second = ComparedRun(a), ComparedRun(b)
    frame = _frame(first, second, threshold)
    return RunComparison(first, second, threshold, tuple(_differences(first, second)), frame)


def _frame(a: ComparedRun, b: ComparedRun, threshold: float) -> pd.DataFrame:
    """The cases of both, then those of A alone, then those of B alone."""
    import pandas as pd

    shared = [key for key in a.rows if key in b.rows]
    if not shared:
        raise UsageError(
            "the runs have no case in common",
            got=_contrast(a, b),
            instead="compare runs of one grid",
        )
    for run in (a, b):
        if not run.has_results:
            raise UsageError(
                f"{run.path} holds no result yet", instead="let its command go on, then compare"
            )
    rows = [_compared(key, a, b, threshold) for key in shared]
    rows += [{"found_in": ONLY_A, **_case(a.rows[key])} for key in a.rows if key not in b.rows]
    rows += [{"found_in": ONLY_B, **_case(b.rows[key])} for key in b.rows if key not in a.rows]
    frame = pd.DataFrame.from_records(rows, columns=[*DTYPES, *CASE_COLUMNS])
    frame = frame.astype({**DTYPES, **{name: a.dtypes[name] for name in CASE_COLUMNS}})
    for name in frame.columns[frame.dtypes == "object"]:
        frame[name] = frame[name].where(frame[name].notna(), None)
    return frame


def _compared(key: str, a: ComparedRun, b: ComparedRun, threshold: float) -> dict[str, Any]:
    """The row of a case that both runs have."""
    row = {"found_in": BOTH, "status_a": a.status(key), "status_b": b.status(key)}
    row |= _case(a.rows[key])
    unmeasured = [name for name, run in ((ONLY_A, a), (ONLY_B, b)) if run.status(key) != "ok"]
    if unmeasured:
        return {**row, "reason": "; ".join(_failure(key, name, a, b) for name in unmeasured)}
    row |= _memory(a.rows[key], b.rows[key])
    return {**row, **_latency(key, a, b, threshold)}


def _latency(key: str, a: ComparedRun, b: ComparedRun, threshold: float) -> dict[str, Any]:
    first, second = a.samples(key), b.samples(key)
    counts = {"samples_a": len(first), "samples_b": len(second)}
    if not first or not second:
        return {**counts, "reason": "the samples of one side are damaged or gone"}
    told = compare_latencies(first, second, threshold)
    return {
        **counts,
        "verdict": told.verdict.value,
        "reason": told.reason or None,
        "latency_ratio": told.ratio,
        "latency_ratio_low": told.low,
        "latency_ratio_high": told.high,
        "p_value": told.p_value,
        "latency_median_a_s": a.rows[key]["latency_median_s"],
        "latency_median_b_s": b.rows[key]["latency_median_s"],
    }


def _memory(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """The peaks of both sides and their ratios; the allocator's bytes have no spread."""
    row: dict[str, Any] = {}
    for column, ratio in PEAKS.items():
        name = column.removesuffix("_bytes")
        row[f"{name}_a_bytes"], row[f"{name}_b_bytes"] = a[column], b[column]
        if a[column] and b[column] is not None:
            row[ratio] = b[column] / a[column]
    return row


def _failure(key: str, name: str, a: ComparedRun, b: ComparedRun) -> str:
    """Why a side has no figures."""
    run = a if name == ONLY_A else b
    reason = run.rows[key]["reason"]
    return f"{name}: {run.status(key)}{f', {reason}' if reason else ''}"


def _case(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in CASE_COLUMNS}


def _contrast(a: ComparedRun, b: ComparedRun) -> str:
    """The axes that share no value between two runs, which is why they share no case."""
    apart = []
    for name in CASE_COLUMNS:
        first, second = (
            {str(row[name]) for row in run.rows.values() if row[name] is not None} for run in (a, b)
        )
        if name != "key" and first and second and not first & second:
            words = [", ".join(sorted(values)[:5]) for values in (first, second)]
            apart.append(f"{name} {words[0]} in A and {words[1]} in B")
    return "; ".join(apart) or f"{len(a.rows)} cases and {len(b.rows)} others"


def _differences(a: ComparedRun, b: ComparedRun) -> list[Difference]:
    found = []
    if a.device != b.device:
        found.append(Difference("device", a.device, b.device))
    found += differences(a.environment, b.environment)
    return found + [
        Difference(f"--{name.replace('_', '-')}", value, b.settings[name])
        for name, value in a.settings.items()
        if name != "device" and value != b.settings[name]
    ]
