"""Two stored runs compared: every verdict, what failed on one side, and what cannot be compared."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from aabench.errors import UsageError
from aabench.runs.comparison import BOTH, CASE_COLUMNS, DTYPES, compare_runs
from aabench.runs.failure_condition import FailureCondition, lost, percentage

DATA = Path(__file__).parent / "data"
BEFORE, AFTER = DATA / "before", DATA / "after"


@pytest.fixture(scope="module")
def found():
    return compare_runs(BEFORE, AFTER)


def by_case(frame):
    return frame.set_index(["heads", "height"])


def test_every_case_of_either_run_is_a_row(found):
    frame = by_case(found.frame)
    assert frame["found_in"].to_dict() == {
        **{(heads, side): "both" for heads in (1, 2, 4) for side in (8, 14)},
        **{(8, side): "A" for side in (8, 14)},
        **{(16, side): "B" for side in (8, 14)},
    }
    assert found.a.is_complete and found.b.is_complete and not found.a.problems
    assert list(found.frame.columns) == [*DTYPES, *CASE_COLUMNS]


def test_verdicts_and_ratios_are_those_the_samples_were_made_with(found):
    frame = by_case(found.frame[found.frame["found_in"] == BOTH])
    assert frame["verdict"].dropna().to_dict() == {
        (1, 8): "same",
        (1, 14): "slower",
        (2, 8): "faster",
        (2, 14): "cannot tell",
        (4, 8): "same",
    }
    assert found.verdicts == {"same": 2, "slower": 1, "faster": 1, "cannot tell": 1}
    made = {(1, 8): 1.002, (1, 14): 1.15, (2, 8): 0.8 / 1.2, (4, 8): 1.51 / 1.5}
    for case, ratio in made.items():
        assert frame.at[case, "latency_ratio"] == pytest.approx(ratio, rel=0.015)
        assert frame.at[case, "latency_ratio_low"] <= ratio <= frame.at[case, "latency_ratio_high"]
    assert (frame["samples_a"].dropna() == 20).all() and len(frame["samples_a"].dropna()) == 5


def test_the_median_of_the_samples_is_the_one_in_the_table(found):
    frame = found.frame.dropna(subset="latency_ratio")
    ratio = frame["latency_median_b_s"] / frame["latency_median_a_s"]
    assert ratio.to_list() == pytest.approx(frame["latency_ratio"].to_list())


def test_peaks_are_compared_to_the_byte(found):
    frame = by_case(found.frame)
    assert frame.at[(4, 8), "peak_ratio"] == 7 / 6 and frame.at[(4, 8), "step_peak_ratio"] == 6 / 5
    assert frame.at[(1, 8), "peak_ratio"] == 1
    assert frame.at[(2, 8), "step_peak_b_bytes"] == 2 * 2**20


def test_a_case_that_one_side_could_not_run_says_so(found):
    row = by_case(found.frame).loc[(4, 14)]
    assert row["verdict"] is None and row["reason"].startswith("B: oom, out of memory")
    assert pd.isna(row["latency_ratio"]) and pd.isna(row["peak_ratio"])
    assert by_case(found.frame)[lost(found.frame).to_numpy()].index.to_list() == [(4, 14)]


def test_swapping_the_runs_mirrors_the_verdicts(found):
    swapped = compare_runs(AFTER, BEFORE)
    mirrored = {"slower": "faster", "faster": "slower"}
    ours = by_case(found.frame)["verdict"].dropna()
    theirs = by_case(swapped.frame)["verdict"].dropna()
    assert {case: mirrored.get(each, each) for case, each in ours.items()} == theirs.to_dict()
    assert not lost(swapped.frame).any()


def test_what_differed_between_the_environments_is_said(found):
    assert [each.told("in A", "in B") for each in found.differences] == [
        "torch 2.11.0 in A, 2.15.0 in B",
        "--seconds-per-case 1.5 in A, 2.0 in B",
    ]


def test_a_run_beside_itself_differs_in_nothing():
    found = compare_runs(BEFORE, BEFORE)
    assert set(found.verdicts) <= {"same", "cannot tell"}
    assert (found.frame["peak_ratio"] == 1).all() and not found.differences
    assert not FailureCondition.of("peak>0%").failing(found.frame).any()


@pytest.mark.parametrize(
    ("text", "failing"),
    [
        ("latency>10%", [(1, 14), (4, 14)]),
        ("latency>20%", [(4, 14)]),
        ("peak>5%", [(4, 8), (4, 14)]),
        (" peak > 16.7 % ", [(4, 14)]),
        ("step-peak>16.7%", [(4, 8), (4, 14)]),
    ],
)
def test_conditions_pick_what_exceeds_them(found, text, failing):
    condition = FailureCondition.of(text)
    assert (
        by_case(found.frame)[condition.failing(found.frame).to_numpy()].index.to_list() == failing
    )


@pytest.mark.parametrize("text", ["", "peak", "peak>", "peak>5", "peak<5%", "peak>-5%", "peak>x%"])
def test_conditions_of_another_shape_are_refused(text):
    with pytest.raises(UsageError, match="FIGURE>PERCENT"):
        FailureCondition.of(text)


def test_conditions_on_other_figures_name_the_known_ones():
    with pytest.raises(UsageError, match="latency, peak, step-peak"):
        FailureCondition.of("energy>5%")


def test_percentages_have_their_sign():
    assert percentage("2.5%", "--threshold") == 0.025
    with pytest.raises(UsageError, match="--threshold: not a percentage"):
        percentage("0.05", "--threshold")


def test_what_is_no_measured_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such run folder"):
        compare_runs(BEFORE, tmp_path / "nothing")
    with pytest.raises(UsageError, match="not a run folder"):
        compare_runs(tmp_path, AFTER)
    predicted = shutil.copytree(BEFORE, tmp_path / "predicted")
    manifest = json.loads((predicted / "manifest.json").read_text())
    manifest["predicted_for"] = "t4-16gb"
    (predicted / "manifest.json").write_text(json.dumps(manifest))
    pd.DataFrame(columns=["status", "mode", "batch"]).to_csv(predicted / "results.csv", index=False)
    with pytest.raises(UsageError, match="predicted for t4-16gb"):
        compare_runs(predicted, AFTER)


def test_runs_without_a_common_case_say_what_sets_them_apart(tmp_path):
    other = shutil.copytree(AFTER, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["grid"]["axes"]["batch"] = [7]
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="batch 4 in A and 7 in B"):
        compare_runs(BEFORE, other)


def test_a_run_without_any_result_is_refused(tmp_path):
    begun = shutil.copytree(AFTER, tmp_path / "begun")
    for name in ("rows.jsonl", "results.csv", "results.sealed"):
        (begun / name).unlink(missing_ok=True)
    with pytest.raises(UsageError, match="holds no result yet"):
        compare_runs(BEFORE, begun)


def test_damaged_samples_are_named_and_leave_the_memory(tmp_path):
    damaged = shutil.copytree(AFTER, tmp_path / "damaged")
    samples = damaged / "samples.jsonl"
    samples.write_bytes(b"?" * len(samples.read_bytes()))
    found = compare_runs(BEFORE, damaged)
    row = by_case(found.frame).loc[(1, 8)]
    assert row["verdict"] is None and "damaged" in row["reason"] and row["peak_ratio"] == 1
    assert any("samples.jsonl is damaged" in problem for problem in found.b.problems)
