"""Predicting part by part: the parts are the whole, in order, whatever the number of processes."""

import json
import os
import signal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import aabench
from aabench.cases.grid import Grid
from aabench.cli import predicting
from aabench.cli.main import app
from aabench.cost.prediction import predict_grid
from aabench.cost.target import Target
from aabench.errors import AabenchError, RunError, UsageError
from aabench.report.prediction_digest import PredictionDigest
from aabench.runs import predicted_run as predicted_run_module
from aabench.runs.grid_parts import grid_parts
from aabench.runs.in_order import batched, in_order
from aabench.runs.predicted_run import predicted_parts
from aabench.runs.request import Request
from aabench.runs.table_file import CsvFile

AXES = {
    "in_channels": [16, 32],
    "heads": [1, 2, 3],
    "kappa": ["0.1", "0.25"],
    "upsilon": ["0.25", "0.5"],
    "resolution": [4, 8, 9],
    "mode": ["infer", "train"],
    "attention": ["materialized", "blocked", "auto"],
}
"""432 cases: possible, rounded, impossible, and with a form to be chosen."""

WORDS = [
    word
    for name, values in AXES.items()
    for word in (f"--{name.replace('_', '-')}", ",".join(map(str, values)))
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder_without_calibration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AABENCH_CALIBRATION", str(tmp_path / "calibration.json"))


@given(st.lists(st.integers(1, 5), min_size=3, max_size=3), st.integers(1, 70))
@settings(deadline=None, max_examples=40)
def test_the_entries_of_the_parts_are_those_of_the_grid(lengths, most):
    heads, batches, sides = lengths
    axes = {"heads": range(1, heads + 1), "batch": range(1, batches + 1)}
    axes = {name: list(values) for name, values in axes.items()}
    grid = Grid.of({**axes, "in_channels": 60, "dk": 60, "resolution": list(range(1, sides + 1))})
    parts = list(grid_parts(grid, most))
    assert all(0 < len(part) <= most for part in parts)
    found = [entry.case for part in parts for entry in part.entries()]
    assert found == [entry.case for entry in grid.entries()]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_lines_of_the_parts_are_those_of_the_whole(tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(predicted_run_module, "PART_ROWS", 50)
    request = Request.of(None, AXES, {"device": "cpu"}, out=tmp_path / "run")
    target = Target("cpu", threads=2)
    whole = predict_grid(request.grid, target)
    parts = list(predicted_parts(request, target, len, keep=CsvFile(), jobs=jobs))
    assert sum(part.rows for part in parts) == sum(part.rendered for part in parts) == 432
    assert len(parts) > 8
    written = (tmp_path / "run" / "results.csv").read_text()
    assert written == whole.to_csv(index=False)
    assert (aabench.load_run(tmp_path / "run")["status"] == "invalid").sum() > 0


def test_a_prediction_that_is_cut_short_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(predicted_run_module, "PART_ROWS", 50)
    request = Request.of(None, AXES, {"device": "cpu"}, out=tmp_path / "run")
    parts = predicted_parts(request, Target("cpu", threads=2), len, keep=CsvFile(), jobs=1)
    next(parts)
    parts.close()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


def output(*words):
    done = CliRunner().invoke(app, ["sweep", "--predict", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("format", ["csv", "json"])
def test_what_is_streamed_is_what_is_held(monkeypatch, format):
    words = [*WORDS, "--gpu", "t4-16gb", "--format", format]
    held = output(*words)
    monkeypatch.setattr(predicting, "MOST_HELD", 10)
    monkeypatch.setattr(predicted_run_module, "PART_ROWS", 100)
    assert output(*words, "--jobs", "1") == held
    assert output(*words, "--jobs", "2") == held


def test_a_table_of_too_many_rows_sums_them_up(monkeypatch, tmp_path):
    monkeypatch.setattr(predicting, "MOST_HELD", 10)
    monkeypatch.setattr(predicted_run_module, "PART_ROWS", 100)
    text = output(*WORDS, "--gpu", "t4-16gb", "--out", "mine", "--jobs", "1")
    frame = aabench.load_run("mine")
    predicted = frame[frame["status"] == "predicted"]
    assert f"432 rows: {len(predicted)} predicted, {432 - len(predicted)} invalid" in text
    assert "412 more rows; all of them: mine/results.csv" in text
    rows = (predicted["attention"] == "blocked").sum()
    assert any(line.split()[:2] == ["blocked", str(rows)] for line in text.splitlines())
    digest = PredictionDigest.of(frame)
    peaks = predicted.loc[predicted["attention"] == "materialized", "predicted_peak_bytes"]
    extent = digest.extents["materialized", "predicted_peak_bytes"]
    assert (extent.count, extent.low, extent.high) == (len(peaks), peaks.min(), peaks.max())


def test_parquet_holds_what_csv_holds(monkeypatch):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'aabench[parquet]'")
    words = [*WORDS, "--gpu", "t4-16gb", "--out", "mine"]
    output(*words)
    held = aabench.load_run("mine")
    output(*words, "--parquet")
    pd.testing.assert_frame_equal(aabench.load_run("mine"), held)
    assert not Path("mine/results.csv").exists()
    monkeypatch.setattr(predicting, "MOST_HELD", 10)
    monkeypatch.setattr(predicted_run_module, "PART_ROWS", 100)
    output(*words, "--parquet", "--jobs", "2")
    pd.testing.assert_frame_equal(aabench.load_run("mine"), held)
    output(*words, "--jobs", "1")
    assert not Path("mine/results.parquet").exists()


def test_markdown_of_too_many_rows_is_refused(monkeypatch):
    monkeypatch.setattr(predicting, "MOST_HELD", 10)
    with pytest.raises(UsageError, match="--format md holds all rows"):
        output(*WORDS, "--gpu", "t4-16gb", "--format", "md")


def test_networks_are_traced_side_by_side_with_the_same_figures():
    words = ["--network", "debug-resnet,aa-debug-resnet", "--device", "cpu"]
    words += ["--format", "json"]
    alone, together = (json.loads(output(*words, "--jobs", jobs)) for jobs in ("1", "2"))
    assert alone == together
    assert [row["status"] for row in alone] == ["predicted"] * 2


@pytest.mark.parametrize(
    ("words", "clue"),
    [
        (["--predict", "--jobs", "0"], "--jobs is out of range"),
        (["--predict", "--jobs", "-3"], "--jobs is out of range"),
        (["--jobs", "2"], "disturb each other"),
        (["--dry-run", "--jobs", "2"], "disturb each other"),
        (["--predict", "--parquet"], "for predictions that are kept"),
        (["--parquet", "--out", "mine"], "for predictions that are kept"),
    ],
)
def test_flags_that_make_no_sense(words, clue):
    with pytest.raises(AabenchError, match=clue) as refused:
        CliRunner().invoke(app, ["sweep", *words], catch_exceptions=False)
    assert refused.value.exit_code == 2


# Work in order


def square(number):
    return number * number


def ends_itself(number):
    os.kill(os.getpid(), signal.SIGKILL)


def raises(number):
    raise UsageError("no such number", got=number)


def test_results_come_in_order_and_little_is_taken_ahead():
    taken = []

    def numbers():
        for number in range(40):
            taken.append(number)
            yield number

    results = in_order(square, numbers(), jobs=2)
    for number in range(40):
        assert next(results) == number**2
        assert len(taken) <= number + 1 + 4
    assert list(results) == []


def test_an_error_arrives_as_it_was_raised():
    with pytest.raises(UsageError, match="no such number; got 0"):
        list(in_order(raises, range(3), jobs=2))


def test_a_process_that_is_killed_is_said():
    with pytest.raises(RunError, match="fewer --jobs"):
        list(in_order(ends_itself, range(3), jobs=2))


def test_batches_are_neighbours():
    assert list(batched(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
