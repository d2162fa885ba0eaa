"""``aabench compare``: two runs case by case, and whether the second one got worse."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aabench.cli.output import OutputFormat, prepare_stdout
from aabench.errors import EXIT_NO, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aabench.report.comparison_table import ComparisonReport
    from aabench.runs.compared_run import ComparedRun
    from aabench.runs.comparison import RunComparison
    from aabench.runs.failure_condition import FailureCondition

SCHEMA = 1
"""Of ``--format json``."""


def compare_command(
    a: Annotated[Path, typer.Argument(metavar="A", help="The run folder to compare with.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The run folder to judge.")],
    *,
    threshold: Annotated[
        str | None,
        typer.Option(
            help="Difference of median latencies that matters, in percent. (default: 5%, or less if a "
            "--fail-if on latency asks for less)",
            show_default=False,
        ),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="FIGURE>PERCENT",
            help="Exit with 3 if a case of B exceeds A by more: latency, peak or step-peak, as "
            "'peak>5%'. Repeatable. Latency counts only where the verdict is slower; a case that A "
            "measured and B tried and could not fails each.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[OutputFormat, typer.Option(help="What goes to standard output.")] = (
        OutputFormat.table
    ),
) -> None:
    """Compare two measured runs: per case the ratio of times with its interval, a verdict, the peaks.

    Slower means that B takes longer than A. What differed between the environments is said first.

    Example: aabench compare results/before results/after --fail-if 'peak>5%' --fail-if 'latency>10%'
    """
    from aabench.runs.comparison import compare_runs
    from aabench.runs.failure_condition import FailureCondition

    conditions = [FailureCondition.of(text) for text in fail_if or ()]
    found = compare_runs(a, b, threshold=_threshold(threshold, conditions))
    for run in (found.a, found.b):
        for problem in run.problems:
            print(f"aabench: {run.path}: {problem}", file=sys.stderr)
    failures = _failures(found, conditions)
    prepare_stdout(format)
    _SHOW[format](found, failures)
    if format in (OutputFormat.csv, OutputFormat.json):
        for line in failures:
            print(f"aabench: {line}", file=sys.stderr)
    if failures:
        raise typer.Exit(EXIT_NO)


def _threshold(given: str | None, conditions: Sequence[FailureCondition]) -> float:
    """The threshold, never above what a condition on latency lets pass."""
    from aabench.runs.comparison import DEFAULT_THRESHOLD
    from aabench.runs.failure_condition import percentage

    limits = [each.limit for each in conditions if each.figure == "latency"]
    if given is None:
        return min([DEFAULT_THRESHOLD, *limits])
    threshold = percentage(given, "--threshold")
    if limits and min(limits) < threshold:
        raise UsageError(
            f"--fail-if 'latency>{100 * min(limits):g}%' asks for less than --threshold calls a difference",
            got=given,
            allowed=f"a threshold up to {100 * min(limits):g}%",
        )
    return threshold


def _failures(found: RunComparison, conditions: Sequence[FailureCondition]) -> list[str]:
    """One line for each condition that does not hold."""
    from aabench.runs.comparison import BOTH
    from aabench.runs.failure_condition import RATIO_OF, lost

    both = found.frame[found.frame["found_in"] == BOTH]
    lines = []
    for condition in conditions:
        rows = both[condition.failing(both)]
        if not len(rows):
            continue
        words = [f"fails {condition}: {len(rows)} of {len(both)} cases"]
        ratios = rows[RATIO_OF[condition.figure]].dropna()
        if len(ratios):
            words.append(f"worst {ratios.max():.3f}x")
        gone = int(lost(rows).sum())
        if gone:
            words.append(f"{gone} not measured in B")
        lines.append(", ".join(words))
    return lines


def _report(found: RunComparison, failures: Sequence[str]) -> ComparisonReport:
    from aabench.report.comparison_table import ComparisonReport

    return ComparisonReport(
        a=_told(found.a),
        b=_told(found.b),
        threshold=found.threshold,
        differences=_difference_lines(found),
        failures=failures,
        frame=found.frame,
    )


def _told(run: ComparedRun) -> str:
    unfinished = "" if run.is_complete else ", not complete"
    return f"{run.path}, {len(run.rows)} cases on {run.device}{unfinished}"


def _difference_lines(found: RunComparison) -> list[str]:
    return [each.told("in A", "in B") for each in found.differences]


def _print_table(found: RunComparison, failures: Sequence[str]) -> None:
    from aabench.report.comparison_table import comparison_table
    from aabench.report.terminal import print_to

    report = _report(found, failures)
    print_to(sys.stdout, lambda width: comparison_table(report, width=width))


def _print_markdown(found: RunComparison, failures: Sequence[str]) -> None:
    from aabench.report.comparison_table import write_comparison_markdown

    write_comparison_markdown(_report(found, failures), sys.stdout)


def _print_csv(found: RunComparison, failures: Sequence[str]) -> None:
    from aabench.report.records import write_csv

    write_csv(found.frame, sys.stdout)


def _print_json(found: RunComparison, failures: Sequence[str]) -> None:
    from aabench.report.tidy_frame import json_values

    frame = found.frame
    columns = [json_values(frame[name]) for name in frame.columns]
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "a": _run_values(found.a),
        "b": _run_values(found.b),
        "threshold": found.threshold,
        "verdicts": found.verdicts,
        "differences": [
            {"label": each.label, "a": each.first, "b": each.second} for each in found.differences
        ],
        "failures": list(failures),
        "cases": [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)],
    }
    print(json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False))


def _run_values(run: ComparedRun) -> dict[str, Any]:
    return {
        "path": str(run.path),
        "device": run.device,
        "cases": len(run.rows),
        "complete": run.is_complete,
        "problems": list(run.problems),
    }


_SHOW = {
    OutputFormat.table: _print_table,
    OutputFormat.csv: _print_csv,
    OutputFormat.json: _print_json,
    OutputFormat.md: _print_markdown,
}
