"""Pooling: what the samples of all rounds of a case say together."""

from __future__ import annotations

from itertools import chain
from typing import Any

from aabench.cases.case import Case
from aabench.measuring.statistics import drift_between, summarize
from aabench.measuring.warning_rules import sample_remarks


def pooled_figures(
    case: Case, figures: dict[str, Any], rounds: list[list[float]]
) -> tuple[dict[str, Any], list[str]]:
    """The latency columns over all rounds, and what makes them doubtful.

    Args:
        case: what was measured.
        figures: what is known of it already; ``flops`` is used if it is there.
        rounds: seconds per step, one list of samples per round.

    Returns:
        Values by column name, and ``remark — remedy`` lines.
    """
    summary = summarize(list(chain.from_iterable(rounds)))
    drift = drift_between(rounds)
    pooled = {
        "latency_median_s": summary.median,
        "latency_ci_low_s": summary.ci_low,
        "latency_ci_high_s": summary.ci_high,
        "latency_iqr_s": summary.iqr,
        "latency_p5_s": summary.p5,
        "latency_p95_s": summary.p95,
        "latency_min_s": summary.minimum,
        "samples": summary.n,
        "outliers": summary.outliers,
        "rounds": len(rounds),
        "round_drift": drift,
        "items_per_s": case.batch / summary.median,
    }
    flops = figures.get("flops")
    if flops is not None:
        pooled["flops_per_s"] = flops / summary.median
    return pooled, [str(remark) for remark in sample_remarks(summary, drift)]
