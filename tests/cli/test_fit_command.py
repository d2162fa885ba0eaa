"""``aabench fit`` as people type it: exit codes, the first lines, the formats, bad input."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

import aabench
from aabench.cli.main import app
from aabench.errors import UsageError
from aabench.networks.building import build_network
from aabench.runs.trial_step import try_step

NETWORK = ["fit", "aa-debug-resnet", "--batch", "4", "--mode", "train", "--device", "cpu"]


@pytest.fixture(autouse=True)
def nobodys_calibration(tmp_path, monkeypatch):
    monkeypatch.setenv("AABENCH_CALIBRATION", str(tmp_path / "none.json"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


def test_it_fits_exits_0_and_the_first_lines_say_so():
    done = run(*NETWORK, "--budget", "1GiB")
    assert done.exit_code == 0, done.output
    first, second, third, *_ = done.stdout.splitlines()
    assert first.startswith("FITS with materialized, broadcast")
    assert second.startswith("blocked takes ") and second.endswith(" left")
    assert third == "Nothing needs to be changed"
    assert "aa-debug-resnet, batch 4, train, 32x32, fp32, on cpu." in done.stdout


def test_it_does_not_fit_exits_3_and_names_the_least_change():
    done = run(*NETWORK, "--budget", "1MiB", "--attention", "materialized")
    assert done.exit_code == 3, done.output
    assert done.stdout.startswith("DOES NOT FIT with materialized\nmaterialized takes ")
    assert "The plain debug-resnet alone needs up to " in done.stdout
    title = "What could be changed of materialized (even without attention it does not fit)\n"
    assert title in done.stdout
    assert "--heads" not in done.stdout


def test_the_heading_says_which_form_the_layers_are_judged_with():
    asked = ["fit", "aa-debug-resnet", "--resolution", "1024", "--device", "cpu"]
    table = run(*asked, "--budget", "1GiB", "--format", "csv", "--rows", "forms").stdout
    rows = {row["attention"]: row for row in csv.DictReader(io.StringIO(table))}
    enough, too_little = (
        int(rows["blocked"]["needed_high_bytes"]),
        int(rows["materialized"]["needed_low_bytes"]),
    )
    assert enough < too_little
    budget = f"{(enough + too_little) // 2}B"
    told = run(*asked, "--budget", budget, "--attention", "materialized").stdout
    least = told.splitlines()[2].partition(": ")[2].partition(" (")[0]
    assert least.startswith("--attention ")
    assert f"Layers with materialized (the least change takes another form: {least})\n" in told
    told = run(*asked, "--budget", "1GiB", "--attention", "materialized").stdout
    assert "Layers with materialized\n" in told


def test_too_close_exits_4():
    found = aabench.fit("aa-debug-resnet", batch=4, mode="train", budget="1GiB", device="cpu")
    peak = found.plain.need.peak_bytes
    done = run(*NETWORK, "--budget", f"{peak}B")
    assert done.exit_code == 4, done.output
    assert done.stdout.startswith("TOO CLOSE TO TELL")


def test_json_has_everything_and_csv_a_row_a_layer(tmp_path):
    plan = tmp_path / "plan.json"
    done = run(*NETWORK, "--budget", "1GiB", "--format", "json", "--write", str(plan))
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "fits"
    assert answer["budget"]["usable_bytes"] == 2**30
    assert answer["plain"]["network"] == "debug-resnet"
    assert {row["attention"] for row in answer["forms"]} > {"materialized", "blocked"}
    assert len(answer["layers"]) == len(answer["plan"]["layers"]) == 3
    assert json.loads(plan.read_text()) == answer["plan"]
    # The form that is planned need not be the one that was asked about.
    assert f"wrote {plan}: 3 layers, {answer['plan']['attention']}, batch" in done.stderr
    model = aabench.augment(build_network("debug-resnet"), plan=plan)
    assert "AugmentedConv2d" in repr(model)

    done = run(*NETWORK, "--budget", "1GiB", "--format", "csv", "--attention", "blocked")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["layer"] for row in rows] == [each["layer"] for each in answer["layers"]]
    assert int(rows[0]["bytes_at_peak"]) > 0


def test_what_just_fits_is_run_and_so_is_one_step_beyond(monkeypatch):
    # In this process: tests/runs/test_trial.py starts another.
    monkeypatch.setattr("aabench.cli.verifying.run_trial", try_step)
    done = run(
        *NETWORK[:2],
        *("--mode", "train", "--device", "cpu", "--resolution", "64", "--maximize", "batch"),
        *("--attention", "blocked", "--emulate", "12MiB"),
    )
    assert done.exit_code == 0, done.output
    assert "LARGEST BATCH THAT FITS" in done.stdout
    assert "2 verdicts right, 0 wrong, 1 undecided" in done.stdout


def test_a_single_layer_is_bounded_over_two_axes():
    layer = ["fit", "--layer", "--in-channels", "32", "--mode", "train", "--gpu", "t4-16gb"]
    done = run(*layer, "--resolution", "14,28", "--format", "json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    largest = {(row["resolution"], row["attention"]): row["largest_batch"] for row in rows}
    assert largest["14x14", "materialized"] > largest["28x28", "materialized"]
    assert largest["28x28", "blocked"] > 4 * largest["28x28", "materialized"]
    assert ("28x28", "triton") not in largest  # the card is too old for it
    assert all(row["left_bytes"] >= 0 for row in rows)
    # One more of each is no longer said to fit.
    assert all(row["beyond_verdict"] != "fits" for row in rows)
    assert "Largest batch" in run(*layer, "--resolution", "14,28").stdout
    assert run(*layer, "--resolution", "14", "--budget", "300MiB").exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["aa-resnet50", "--budget", "16"], "without a unit"),
        (["aa-resnet50", "--emulate", "banana"], "--emulate: not a size"),
        (["aa-resnet50", "--write", "no-such-folder/plan.json"], "--write names no file"),
        ([""], "name is empty"),
        (["aa-resnet50", "--budget", "0GiB"], "no bytes"),
        (["aa-resnet50", "--gpu", "t5-16gb"], "unknown card"),
        (["aa-resnet50", "--vram", "16GiB"], "--arch"),
        (["resnet50", "--budget", "16GiB"], "nothing to augment"),
        (["aa-resnet51", "--budget", "16GiB"], "unknown network"),
        ([], "a network, or --layer"),
        (["aa-resnet50", "--layer"], "a network, or --layer"),
        (["aa-resnet50", "--gpu", "t4-16gb", "--verify"], "another card"),
        (["aa-resnet50", "--budget", "1GiB", "--emulate", "1GiB"], "--emulate is a budget"),
        (["aa-resnet50", "--budget", "1GiB", "--batch", "1,2"], "one case"),
        (["aa-debug-resnet", "--budget", "1GiB", "--maximize", "luck"], "--maximize"),
        (["aa-debug-resnet", "--rows", "luck", "--format", "csv"], "--rows"),
        (["aa-debug-resnet", "--rows", "forms"], "--format table"),
        (["--layer", "--maximize", "luck", "--budget", "1GiB"], "--maximize"),
        (["--layer", "--batch", "8", "--budget", "1GiB"], "looked for"),
    ],
)
def test_bad_input_says_what_to_do(arguments, message):
    done = run("fit", *arguments)
    assert isinstance(done.exception, UsageError), done.output
    assert message in str(done.exception)


def test_csv_has_the_table_that_is_asked_for():
    asked = [*NETWORK[:-2], "--gpu", "t4-16gb", "--budget", "1GiB", "--format", "csv", "--rows"]
    remedies = list(csv.DictReader(io.StringIO(run(*asked, "remedies").stdout)))
    assert {"another form", "mixed precision"} <= {row["kind"] for row in remedies}
    assert all(float(row["time_ratio"]) > 0 for row in remedies)
    assert all(float(row["predicted_latency_s"]) > 0 for row in remedies)
    forms = list(csv.DictReader(io.StringIO(run(*asked, "forms").stdout)))
    assert {row["attention"] for row in forms} > {"materialized", "triton"}
    told = run(*NETWORK[:-2], "--gpu", "t4-16gb", "--budget", "1GiB")
    assert "time" in told.stdout and "never checked on a card" in told.stdout


OWN = """
from torch import nn

def small():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )
"""


def test_a_network_of_ones_own_is_judged_and_verified(tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("aabench.cli.verifying.run_trial", try_step)
    done = run(
        *("fit", "own_network:small", "--augment", "2", "--kappa", "0.5", "--upsilon", "0.5"),
        *("--heads", "4", "--resolution", "20", "--batch", "4", "--mode", "train"),
        *("--device", "cpu", "--budget", "20MiB", "--attention", "blocked", "--verify"),
    )
    assert done.exit_code == 0, done.output
    assert "1 verdicts right, 0 wrong, 0 undecided" in done.stdout
    assert 'model = build_network("own_network:small")\n' in done.stdout
