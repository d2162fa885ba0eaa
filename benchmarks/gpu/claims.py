"""The claims: what a run on a card is to prove, each held against what was measured."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.kernel_rules import expected_kernels
from benchmarks.gpu.measured import Measured
from benchmarks.gpu.part import State

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("fp32", "bf16", "fp16")

LARGEST_MEDIAN_CHANGE = 0.02
"""Of the latency, when one profile is run twice."""

LEAST_SHARE_IN_BAND = 0.95
"""Of measured peaks that lie within their prediction's band."""


class Answer(StrEnum):
    """What a claim came to."""

    PROVEN = "proven"
    REFUTED = "REFUTED"
    OPEN = "not shown"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim and what came of it.

    Attributes:
        text: the claim.
        answer: what it came to.
        figures: what the answer rests on, or why there is none.
    """

    text: str
    answer: Answer
    figures: str


Finding = tuple[Answer, str]


def claims(measured: Measured) -> Iterator[Claim]:
    """Every claim, in the order of the summary."""
    for text, find in _CLAIMS:
        yield Claim(text, *find(measured))


def _tests(measured: Measured) -> Finding:
    result = measured.result("tests")
    counts = re.findall(r"(\d+) (passed|failed|skipped|errors?)", measured.output("tests")[-500:])
    told = ", ".join(f"{count} {what}" for count, what in counts) or result.remark
    if any(what not in {"skipped", "passed"} for _, what in counts):
        return Answer.REFUTED, told
    passed = result.state is State.DONE and any(what == "passed" for _, what in counts)
    return (Answer.PROVEN if passed else Answer.OPEN), told or "they were not run"


def _exact(measured: Measured) -> Finding:
    rows = measured.of_part("exact")
    if not len(rows):
        return Answer.OPEN, _not_run(measured, "exact")
    wrong = measured.rows[measured.rows["status"] == "wrong"]
    ran = rows[rows["status"] == "ok"]
    pairs = [(form, each) for form in rows["attention"].unique() for each in FORMATS]
    known = set(zip(ran["attention"], ran["precision"], strict=True))
    missing = [f"{form} {each}" for form, each in pairs if (form, each) not in known]
    used = (ran["check_error"] / ran["check_bound"]).max()
    told = (
        f"{len(known)} of {len(pairs)} forms and formats; at worst {used:.2f} of the error allowed"
    )
    if len(wrong):
        return Answer.REFUTED, f"{told}; wrong: {_listed(wrong)}"
    if missing:
        return Answer.OPEN, f"{told}; without a result: {', '.join(missing)}"
    return Answer.PROVEN, told


def _kernels(measured: Measured) -> Finding:
    expected = expected_kernels(measured)
    rows = measured.measured.loc[expected.index]
    if not len(rows):
        return Answer.OPEN, "no rows of layers on a CUDA card"
    differ = rows[rows["kernel"] != expected]
    counts = ", ".join(f"{name} {count}" for name, count in rows["kernel"].value_counts().items())
    told = f"{len(rows) - len(differ)} of {len(rows)} rows as the table says; ran: {counts}"
    if not len(differ):
        return Answer.PROVEN, told
    first = differ.assign(expected=expected).drop_duplicates(["attention", "precision", "mode"])
    cases = [
        "{attention} {precision} {height}x{width} {mode}: {kernel}, the table says {expected}".format(
            **{str(name): value for name, value in row.items()}
        )
        for row in first.to_dict("records")
    ]
    return Answer.REFUTED, f"{told}; {'; '.join(cases[:6])}"


def _peaks(measured: Measured) -> Finding:
    rows = measured.measured.dropna(subset=["peak_error", "predicted_peak_high_bytes"])
    if not len(rows):
        return Answer.OPEN, "no row has both a measured and a predicted peak"
    peak = rows["peak_allocated_bytes"]
    low, high = rows["predicted_peak_low_bytes"], rows["predicted_peak_high_bytes"]
    share = float(((low <= peak) & (peak <= high)).mean())
    errors, steps = rows["peak_error"].abs(), rows["step_peak_error"].abs()
    told = (
        f"{len(rows)} rows, {share:.0%} within their band; error of the peak: median "
        f"{errors.median():.2%}, 95th percentile {errors.quantile(0.95):.1%}, worst {errors.max():.1%}; "
        f"of the step's peak: {steps.median():.2%}, {steps.quantile(0.95):.1%}, {steps.max():.1%}"
    )
    return (Answer.PROVEN if share >= LEAST_SHARE_IN_BAND else Answer.REFUTED), told


def _workspace(measured: Measured) -> Finding:
    found = measured.measured["workspace_bytes"].dropna()
    if not len(found):
        return Answer.OPEN, "no row has it: it is read on CUDA cards only"
    sizes = ", ".join(
        f"{size / 2**20:.4g} MiB in {int((found == size).sum())} rows"
        for size in sorted(found.unique())
    )
    return Answer.PROVEN, f"{len(found)} of {len(measured.measured)} rows: {sizes}"


def _repeatable(measured: Measured) -> Finding:
    cases = measured.values("compare").get("cases", [])
    changes = [abs(case["latency_ratio"] - 1) for case in cases if case["latency_ratio"]]
    if not changes:
        return Answer.OPEN, _not_run(measured, "compare")
    middle = statistics.median(changes)
    verdicts = measured.values("compare")["verdicts"]
    told = (
        f"{len(changes)} cases twice: median change {middle:.2%}, largest {max(changes):.1%}; "
        + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    )
    return (Answer.PROVEN if middle < LARGEST_MEDIAN_CHANGE else Answer.REFUTED), told


def _fit(measured: Measured) -> Finding:
    match = re.search(r"(\d+) verdicts right, (\d+) wrong, (\d+) undecided", measured.output("fit"))
    if match is None:
        return Answer.OPEN, _not_run(measured, "fit")
    right, wrong = int(match[1]), int(match[2])
    if wrong:
        return Answer.REFUTED, match[0]
    return (Answer.PROVEN if right else Answer.OPEN), match[0]


def _recovery(measured: Measured) -> Finding:
    rows = measured.of_part("oom")
    large = rows[rows["status"] == "oom"]
    if not len(large):
        statuses = ", ".join(rows["status"].dropna()) or _not_run(measured, "oom")
        return Answer.OPEN, f"nothing ran out of memory: {statuses}"
    after = rows[(rows["status"] == "ok") & (rows["rounds"] == 2)]
    if not len(after):
        return Answer.REFUTED, f"no clean case in the round after it: {_listed(rows)}"
    return Answer.PROVEN, f"{_listed(large)}; {_listed(after)}, in both rounds"


def _present(column: str, unit: str, size: float = 1.0) -> Callable[[Measured], Finding]:
    """A finding on a column that has to be there on a card."""

    def find(measured: Measured) -> Finding:
        rows = measured.measured
        found = rows[column].dropna()
        if not len(found):
            return Answer.OPEN, "no row has it: it is read on CUDA cards only"
        values = found.astype("float64") / size
        told = f"{len(found)} of {len(rows)} rows, {values.min():.3g} to {values.max():.3g} {unit}"
        return Answer.PROVEN, told

    return find


def _launch_bound(measured: Measured) -> Finding:
    labels = measured.measured["launch_bound"].dropna()
    if not len(labels):
        return Answer.OPEN, "no row has it: it is read on CUDA cards only"
    return (
        Answer.PROVEN,
        f"{int(labels.sum())} of {len(labels)} rows are bound by the host's launches",
    )


_CLAIMS: tuple[tuple[str, Callable[[Measured], Finding]], ...] = (
    ("The tests marked gpu pass", _tests),
    ("Every form equals the float64 reference in fp32, bf16 and fp16, gradients too", _exact),
    ("The kernel that ran is the one of the rule table", _kernels),
    ("Peak memory lies within the predicted band in 95 % of rows", _peaks),
    ("The workspace of cuBLAS is read", _workspace),
    ("The same profile twice: median change of latency under 2 %", _repeatable),
    ("Verdicts of fit hold under a cap on memory", _fit),
    ("Running out of memory is a row, and the next case is clean", _recovery),
    ("Energy per image is measured", _present("energy_per_item_j", "mJ", 1e-3)),
    ("NVML: power is read", _present("gpu_power_w", "W")),
    ("NVML: the multiprocessors' clock is read", _present("gpu_sm_clock_hz", "MHz", 1e6)),
    ("NVML: temperature is read", _present("gpu_temperature_c", "°C")),
    ("CUDA graphs are replayed where capture is legal", _present("latency_graph_median_s", "s")),
    ("Steps that the host's launches bound are labelled", _launch_bound),
)


def _not_run(measured: Measured, name: str) -> str:
    result = measured.result(name)
    return f"{name} was {result.state}{f': {result.remark}' if result.remark else ''}"


def _listed(rows: pd.DataFrame) -> str:
    told: list[str] = []
    for row in rows.head(5).to_dict("records"):
        values: dict[Any, Any] = row
        told.append(
            "{attention} {height}x{width} B{batch} {mode} {precision}: {status}".format(**values)
        )
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return "; ".join(told) + more
