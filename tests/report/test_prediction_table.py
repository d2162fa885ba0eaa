"""Predicted beside measured: the errors by group, from figures worked out by hand."""

import io

import pandas as pd
import pytest

from aabench.report.prediction_table import prediction_errors, prediction_table
from aabench.report.terminal import print_to

MIB = 2**20


def run():
    measured = [0.5 * MIB, 2 * MIB, 10 * MIB, 40 * MIB, None]
    errors = [0.0, 0.01, -0.02, 0.10, None]
    frame = pd.DataFrame(
        {
            "status": ["ok"] * 4 + ["oom"],
            "attention": ["blocked", "blocked", "broadcast", "broadcast", "broadcast"],
            "mode": ["infer", "train", "infer", "train", "train"],
            "heads": [2, 2, 4, 4, 8],
            "peak_allocated_bytes": measured,
            "peak_error": errors,
            "step_peak_bytes": [None if m is None else m / 2 for m in measured],
            "step_peak_error": [None if e is None else 2 * e for e in errors],
            "latency_median_s": [1.0, 2.0, 1.0, 4.0, None],
            "predicted_latency_s": [0.5, 2.0, 2.0, 1.0, 1.0],
            "predicted_latency_low_s": [0.4, 1.0, 1.5, 0.5, 0.5],
            "predicted_latency_high_s": [0.6, 3.0, 3.0, 5.0, 3.0],
            "prediction_basis": ["uncalibrated"] * 5,
        }
    )
    peaks = frame["peak_allocated_bytes"]
    frame["predicted_step_peak_bytes"] = frame["step_peak_bytes"] * (1 + frame["step_peak_error"])
    frame["predicted_peak_low_bytes"] = peaks * (1 + frame["peak_error"]) * 0.95
    frame["predicted_peak_high_bytes"] = peaks * (1 + frame["peak_error"]) * 1.05
    return frame


def test_the_errors_of_each_group():
    errors = prediction_errors(run()).set_index("group")
    assert errors.loc["all", "rows"] == 4
    assert errors.loc["all", "peak_median"] == pytest.approx(0.015)
    assert errors.loc["all", "peak_worst"] == pytest.approx(0.10)
    assert errors.loc["all", "step_worst"] == pytest.approx(0.20)
    assert errors.loc["all", "peak_in_band"] == pytest.approx(0.75)
    assert errors.loc["all", "time_in_band"] == pytest.approx(0.5)
    assert errors.loc["all", "time_median"] == pytest.approx(0.75)
    assert errors.loc["broadcast", "peak_worst"] == pytest.approx(0.10)
    assert errors.loc["infer", "rows"] == 2
    assert errors.loc["below 1 MiB", "peak_worst"] == 0
    assert "from 1 GiB" not in errors.index


def test_the_table_names_what_is_furthest_off():
    stream = io.StringIO()
    print_to(stream, lambda width: prediction_table(run(), width=width), width=100)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    worst = text.split("Furthest off")[1]
    assert worst.strip().startswith("20 % of the step: predicted 24.0 MiB, measured 20.0 MiB")
    assert "uncalibrated" in text


def test_a_run_without_predictions_says_so():
    stream = io.StringIO()
    frame = run().drop(columns=["peak_error"])
    print_to(stream, lambda width: prediction_table(frame, width=width), width=80)
    assert "no row has both" in stream.getvalue()
