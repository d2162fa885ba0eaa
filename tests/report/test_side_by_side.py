"""Runs side by side: every row keeps its run, and what differs between runs is shown."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from synthetic_frames import quick_frame, sweep_frame

from aabench.errors import UsageError
from aabench.report.formats import write
from aabench.report.prediction_table import prediction_errors
from aabench.report.side_by_side import RUN, run_names, side_by_side


def run_frame(folder: str, device: str = "Intel Xeon", **axes: object) -> pd.DataFrame:
    frame = sweep_frame(heads=(2,), modes=("infer",), **axes)  # type: ignore[arg-type]
    frame.attrs = {
        "name": "mine",
        "folder": folder,
        "device": device,
        "environment": {"torch": "2.15.0"},
        "complete": True,
        "problems": [],
    }
    return frame


def written(frame: pd.DataFrame, format_name: str = "table", width: int = 130) -> str:
    stream = io.StringIO()
    write(frame, format_name, stream, width=width)
    return stream.getvalue()


def test_one_run_stays_as_it_is() -> None:
    frame = run_frame("results/a")
    assert side_by_side([frame]) is frame


def test_every_row_says_its_run() -> None:
    a, b = run_frame("results/a"), run_frame("results/b", "AMD EPYC")
    joined = side_by_side([a, b])
    assert joined.columns[0] == RUN
    assert joined[RUN].tolist() == ["a"] * len(a) + ["b"] * len(b)
    pd.testing.assert_frame_equal(joined.drop(columns=[RUN]), pd.concat([a, b], ignore_index=True))
    assert joined.attrs["runs"]["b"]["device"] == "AMD EPYC"
    assert written(joined, "csv").startswith("run,status,")


def test_problems_say_which_run_they_are_of() -> None:
    a, b = run_frame("results/a"), run_frame("results/b")
    b.attrs["problems"] = ["rows.jsonl line 2 is damaged"]
    assert side_by_side([a, b]).attrs["problems"] == ["b: rows.jsonl line 2 is damaged"]


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["results/a", "results/b"], ["a", "b"]),
        (["monday/quick", "friday/quick"], ["monday/quick", "friday/quick"]),
        (["x/monday/quick", "y/monday/quick", "z"], ["x/monday/quick", "y/monday/quick", "z"]),
    ],
)
def test_names_are_as_long_as_it_takes(folders: list[str], names: list[str]) -> None:
    assert run_names(folders) == names


def test_a_run_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"given twice; got 'results/\./a'|given twice; got"):
        run_names(["results/a", "results/../results/a"])


def test_the_table_names_the_runs_and_tells_their_rows_apart() -> None:
    joined = side_by_side([run_frame("results/a"), run_frame("results/b", "AMD EPYC")])
    lines = written(joined).splitlines()
    assert lines[0] == "a: Intel Xeon · torch 2.15.0 · 9 ok"
    assert lines[1] == "b: AMD EPYC · torch 2.15.0 · 9 ok"
    head = next(line for line in lines if line.startswith("run "))
    assert head.split()[:4] == ["run", "input", "attention", "time"]
    assert sum(line.startswith("a ") for line in lines) >= 9


def test_axes_that_differ_between_runs_are_columns() -> None:
    a, b = run_frame("a", resolutions=(14,)), run_frame("b", resolutions=(14,), batches=(8,))
    head = next(line for line in written(side_by_side([a, b])).splitlines() if "attention" in line)
    assert head.split()[:3] == ["run", "batch", "attention"]


def test_an_axis_that_only_one_run_has_is_not_said_of_all_rows() -> None:
    """One run gave kappa and the other dk; a run of networks has no channels at all."""
    a, b = run_frame("a"), run_frame("b")
    b["kappa"] = None
    text = " ".join(written(side_by_side([a, b]), width=160).split())
    shared = text.partition("all rows: ")[2].partition(" run ")[0]
    assert "upsilon 0.25" in shared and "kappa" not in shared
    assert "kappa 0.25" in written(side_by_side([a, run_frame("c")]))


def test_forms_are_compared_within_each_run() -> None:
    """On a machine ten times as slow the ratios stay what they are."""
    a, b = run_frame("a", resolutions=(28,)), run_frame("b", resolutions=(28,))
    times = [name for name in b.columns if name.startswith("latency_") and name.endswith("_s")]
    b[times] *= 10
    text = written(side_by_side([a, b]))
    ratios = text.partition("Forms against")[2].splitlines()
    rows = [line.split() for line in ratios if line.startswith(("a ", "b "))]
    assert len(rows) == 2
    assert rows[0][1:] == rows[1][1:]
    glance = text.partition("At a glance")[2].partition("Forms against")[0].splitlines()
    assert [line.split()[:2] for line in glance if line.startswith(("a ", "b "))] == [
        [run, form] for run in "ab" for form in ("materialized", "broadcast", "sdpa-bias")
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    frames = [quick_frame(), quick_frame()]
    frames[0].attrs["folder"], frames[1].attrs["folder"] = "monday/quick", "friday/quick"
    text = written(side_by_side(frames), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "monday/quick" in text and "friday/quick" in text


def test_an_unfinished_run_is_marked() -> None:
    a, b = run_frame("a"), run_frame("b")
    b.attrs["complete"] = False
    lines = written(side_by_side([a, b])).splitlines()
    assert "incomplete" not in lines[0] and lines[1].endswith("incomplete")


def test_predictions_are_judged_by_run() -> None:
    frames = [run_frame("a"), run_frame("b")]
    for frame in frames:
        frame["peak_error"], frame["step_peak_error"] = 0.01, 0.02
        frame["predicted_step_peak_bytes"] = frame["step_peak_bytes"]
        frame["predicted_peak_low_bytes"] = frame["predicted_peak_high_bytes"] = None
        frame["predicted_latency_s"] = frame["latency_median_s"]
    groups = prediction_errors(side_by_side(frames))["group"].tolist()
    assert groups[:3] == ["all", "a", "b"]
    assert RUN not in groups
