"""``aabench sweep --predict``: every case costed, none run, for this machine or for a card."""

import io
import json

import pandas as pd
import pytest
from typer.testing import CliRunner

import aabench
from aabench.cases.columns import COLUMN_NAMES
from aabench.cli.main import app
from aabench.errors import AabenchError, UsageError
from aabench.report.formats import write

LAYERS = ["--in-channels", "32", "--heads", "2,3", "--dk", "8", "--dv", "8", "--resolution", "8,16"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder_without_calibration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AABENCH_CALIBRATION", str(tmp_path / "calibration.json"))


def output(*words):
    done = CliRunner().invoke(app, ["sweep", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def records(*words):
    return pd.DataFrame(json.loads(output(*words, "--format", "json")))


def test_a_grid_for_a_card_that_is_not_here(tmp_path):
    frame = records(*LAYERS, "--gpu", "t4-16gb", "--attention", "materialized,blocked")
    assert list(frame["status"].unique()) == ["predicted", "invalid"]
    ran = frame[frame["status"] == "predicted"]
    assert (ran["device"] == "t4-16gb").all()
    assert (ran["prediction_basis"] == "never checked on a card").all()
    low, mid, high = (ran[f"predicted_peak{end}_bytes"] for end in ("_low", "", "_high"))
    assert (low <= mid).all() and (mid <= high).all() and (low < high).all()
    low, mid, high = (ran[f"predicted_latency{end}_s"] for end in ("_low", "", "_high"))
    assert (low <= mid).all() and (mid <= high).all()
    assert set(ran["bound"]) <= {"compute", "memory", "launch"}
    assert not list(tmp_path.iterdir())


def test_the_table_says_that_nothing_stands_behind_it():
    text = output(*LAYERS, "--vram", "12GiB", "--arch", "sm89")
    assert "predicted, not measured: never checked on a card" in " ".join(text.split())


def test_what_libraries_take_of_tiny_peaks_is_explained_on_a_card_alone():
    tiny = ["--in-channels", "16", "--heads", "2", "--dk", "8", "--dv", "4", "--resolution"]
    told = " ".join(output(*tiny, "4,56", "--gpu", "t4-16gb").split())
    assert "the smallest peaks are mostly the 8.12 MiB that cuBLAS keeps" in told
    here = io.StringIO()
    write(aabench.predict(in_channels=16, heads=2, dk=8, dv=4, resolution=[4, 56]), "table", here)
    assert "predicted, not measured" in here.getvalue() and "cuBLAS" not in here.getvalue()
    large = output(*tiny, "56", "--batch", "512", "--gpu", "t4-16gb")
    assert "cuBLAS" not in large


def test_a_prediction_is_kept_where_it_is_told_and_read_again(tmp_path):
    output(*LAYERS, "--gpu", "t4-16gb", "--out", "mine")
    frame = aabench.load_run("mine")
    assert list(frame.columns[:3]) == ["status", "reason", "notes"]
    assert set(frame.columns) <= set(COLUMN_NAMES)
    assert (frame["status"] == "predicted").sum() == 2
    with pytest.raises(UsageError, match="holds a prediction"):
        output(*LAYERS, "--device", "cpu", "--out", "mine")
    output(*LAYERS, "--gpu", "a10-24gb", "--out", "mine")
    assert set(aabench.load_run("mine")["device"].dropna()) >= {"a10-24gb"}


def test_a_measured_run_is_not_overwritten_by_a_prediction():
    words = [*LAYERS, "--device", "cpu", "--seconds-per-case", "0.02", "--out", "mine"]
    output(*words)
    with pytest.raises(UsageError, match="holds a run that was measured"):
        output(*LAYERS, "--gpu", "t4-16gb", "--out", "mine")


def test_networks_and_layers_of_other_kinds_are_traced():
    frame = aabench.predict(network=["aa-debug-resnet", "debug-resnet"], batch=[2, 8], mode="train")
    assert (frame["status"] == "predicted").all()
    peaks = frame.set_index(["network", "batch"])["predicted_peak_bytes"]
    assert peaks["debug-resnet", 8] > peaks["debug-resnet", 2] > 0
    ours = frame[frame["network"] == "aa-debug-resnet"]
    assert (ours["flops_ratio"] < 1.1).all() and (ours["flops_ratio"] > 0.9).all()
    others = aabench.predict(layer=["local", "bottleneck"], in_channels=16, heads=2, resolution=8)
    assert (others["status"] == "predicted").all()
    assert (others["predicted_peak_bytes"] > 0).all() and (others["macs"] > 0).all()


def test_what_cannot_be_predicted_says_why():
    (row,) = aabench.predict(network="debug-resnet", augment="nothing*").to_dict("records")
    assert row["status"] == "invalid" and "matches no module" in row["reason"]
    (row,) = aabench.predict(network="timm:no-such").to_dict("records")
    assert row["status"] == "invalid" and "timm has no model" in row["reason"]


@pytest.mark.parametrize(
    ("words", "clue"),
    [
        (["--gpu", "t4-16g"], "t4-16gb"),
        (["--gpu", "t4-16gb", "--vram", "12GiB"], "give either"),
        (["--vram", "12GiB"], "both --vram and --arch"),
        (["--vram", "12", "--arch", "sm89"], "unit"),
        (["--vram", "12GiB", "--arch", "ada"], "--arch"),
        (["--gpu", "no/such.toml"], "no such card file"),
        (
            ["--predict", "--in-channels", "65536", "--batch", "1000000", "--resolution", "16384"],
            "64",
        ),
    ],
)
def test_nonsense_is_refused(words, clue, tmp_path):
    with pytest.raises(AabenchError, match=clue) as refused:
        output(*words, "--device", "cpu")
    assert refused.value.exit_code == 2
    assert not list(tmp_path.iterdir())
