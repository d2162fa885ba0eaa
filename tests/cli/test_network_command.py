"""``aabench network`` as a person types it: totals, layers, other people's models, and nonsense."""

import csv
import io
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from aabench.cli.main import app
from aabench.errors import AabenchError

MODELS = """
import torch
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1, stride=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )

class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        raise RuntimeError("no such luck")

class Asks(Fails):
    def forward(self, x):
        y = self.convolution(x)
        return y.mean((2, 3)) if y.sum().item() > 0 else y.amax((2, 3))
"""


@pytest.fixture(autouse=True)
def _in_a_folder_with_models(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("my_models", None)


def shown(*words):
    """What the command prints, run in this process with a stand-in for its worker."""
    done = CliRunner().invoke(app, ["network", *words, "--device", "cpu"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def told(*words):
    return json.loads(shown(*words, "--format", "json"))


def test_totals_stand_beside_the_plain_network():
    answer = told("aa-debug-resnet", "--batch", "2", "--mode", "train")
    assert answer["schema"] == 1 and answer["network"] == "aa-debug-resnet"
    totals, plain = answer["totals"], answer["plain"]["totals"]
    for name in ("params", "macs", "flops", "flops_forward", "predicted_peak_bytes"):
        assert totals[name] > 0 and plain[name] > 0
        assert totals[name] != plain[name]
    assert totals["flops"] == 2 * totals["macs"]


@pytest.mark.parametrize("depth", [[], ["--depth", "1"], ["--depth", "2"]])
def test_the_layers_sum_to_the_totals_at_every_depth(depth):
    answer = told("aa-debug-resnet", "--batch", "2", "--mode", "train", *depth)
    layers, totals = answer["layers"], answer["totals"]
    assert sum(layer["params"] for layer in layers) == totals["params"]
    assert sum(layer["macs_step"] for layer in layers) == totals["macs"]
    assert 2 * sum(layer["macs_forward"] for layer in layers) == totals["flops_forward"]
    peak = totals["predicted_peak_bytes"]
    assert sum(layer["bytes_at_peak"] for layer in layers) == peak
    assert sum(answer["peak_bytes"].values()) == peak


def test_augmented_layers_say_how_and_are_listed_whole():
    layers = told("aa-debug-resnet", "--attention", "factored")["layers"]
    augmented = {layer["name"]: layer["attention"] for layer in layers if layer["attention"]}
    assert augmented["layer3.0.conv1"] == "Nh 2, dk 8, dv 8, factored"
    assert not any(layer["name"].startswith("layer3.0.conv1.") for layer in layers)


def test_somebody_elses_model_augmented_is_ours():
    """The rule of aa-resnet50, spelled out on a model that we did not write."""
    theirs = told(
        *("timm:resnet50", "--kappa", "0.2", "--upsilon", "0.1", "--depth", "1"),
        *("--augment", "layer2.*conv2@2+layer3.*conv2+layer4.*conv2"),
    )
    ours = told("aa-resnet50", "--depth", "1")
    assert theirs["totals"]["params"] == ours["totals"]["params"] == 25_809_392
    assert theirs["totals"]["flops_forward"] == ours["totals"]["flops_forward"]
    assert theirs["plain"]["network"] == "timm:resnet50"
    (floor,) = theirs["notes"]
    assert "dk is 20 per head" in floor and not ours["notes"]


def test_a_persons_own_model_with_other_images():
    answer = told(
        *("my_models:build", "--augment", "2", "--heads", "4", "--kappa", "0.5"),
        *("--upsilon", "0.5", "--input", "1x12x10"),
    )
    (augmented,) = [layer for layer in answer["layers"] if layer["attention"]]
    assert augmented["output_shape"] == [1, 32, 6, 5]
    assert answer["case"]["subject"]["channels"] == 1


@pytest.mark.parametrize("command", ["network", "fit"])
def test_images_have_the_same_two_spellings_everywhere(command):
    words = [
        "my_models:build",
        "--augment",
        "2",
        "--heads",
        "4",
        "--kappa",
        "0.5",
        "--format",
        "json",
    ]
    words += ["--budget", "1GiB", "--device", "cpu"] if command == "fit" else []
    in_one, in_two = (
        CliRunner().invoke(app, [command, *words, *image], catch_exceptions=False)
        for image in (["--input", "1x12x10"], ["--image-channels", "1", "--resolution", "12x10"])
    )
    assert in_one.stdout == in_two.stdout
    assert json.loads(in_one.stdout)["schema"] == 1


def test_csv_and_markdown_have_a_row_for_each_layer():
    rows = list(csv.DictReader(io.StringIO(shown("debug-resnet", "--format", "csv"))))
    assert {"conv1", "fc"} <= {row["name"] for row in rows}
    lines = shown("debug-resnet", "--format", "md").splitlines()
    assert lines[1].startswith("| ---") and len(lines) == len(rows) + 2


def test_the_table_reads_at_any_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = shown("aa-debug-resnet", "--mode", "train", "--batch", "2")
    assert max(map(len, text.splitlines())) <= 100
    assert "Alive at the predicted peak" in text
    assert "debug-resnet" in text and "layer4.0.conv1" in text


def test_measured_beside_predicted_with_hours(tmp_path):
    answer = told(
        *("aa-debug-resnet", "--batch", "4", "--mode", "train", "--measure"),
        *("--seconds-per-case", "0.05", "--epochs", "2", "--images", "1000"),
    )
    totals, plain = answer["totals"], answer["plain"]["totals"]
    assert totals["status"] == "ok"
    assert totals["peak_allocated_bytes"] == pytest.approx(totals["predicted_peak_bytes"], rel=0.05)
    for figures in (totals, plain):
        hours = 2 * 1000 / figures["items_per_s"] / 3600
        assert figures["training_hours"] == pytest.approx(hours)
    assert all(layer["forward_s"] > 0 for layer in answer["layers"] if layer["kind"] == "Conv2d")
    assert not list(tmp_path.glob("results*"))


@pytest.mark.parametrize(
    ("words", "clue"),
    [
        (["aa-resnet5"], "did you mean aa-resnet50"),
        (["my_models:Fails"], "no such luck"),
        (["my_models:Asks"], "depends on the values"),
        (["my_models:nothing"], "has no 'nothing'"),
        (["no_module:build"], "cannot be imported"),
        (["timm:no-such-model"], "timm has no model"),
        (["my_models:build", "--augment", "9*"], "matches no module"),
        (["my_models:build", "--augment", "5"], "not a Conv2d"),
        (["debug-resnet", "--resolution", "8", "--input", "3x8x8"], "say the same"),
        (["debug-resnet", "--image-channels", "3", "--input", "3x8x8"], "say the same"),
        (["debug-resnet", "--input", "8x8"], "not an image"),
        (["debug-resnet", "--epochs", "3"], "go together"),
        ([""], "name is empty"),
        (["debug-resnet", "--epochs", "3", "--images", "9"], "--measure"),
        (["debug-resnet", "--batch", "1,2"], "one case is wanted here"),
        (["timm:resnet18", "--augment", "layer1.*conv1", "--resolution", "4096"], "too large"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(words, clue, tmp_path):
    with pytest.raises(AabenchError, match=clue) as refused:
        CliRunner().invoke(app, ["network", *words, "--device", "cpu"], catch_exceptions=False)
    assert refused.value.exit_code == 2
    left = [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"]
    assert left == ["my_models.py"]


def test_an_error_is_one_line_and_no_traceback(tmp_path):
    words = ["network", "my_models:Fails", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "aabench", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("aabench: ") and len(done.stderr.splitlines()) == 1
    assert "no such luck" in done.stderr
