"""``--html FILE`` of ``aabench network`` and ``aabench fit``: a page beside what goes to the terminal."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aabench.cli.main import app
from aabench.errors import UsageError

STEP = ["aa-debug-resnet", "--batch", "4", "--mode", "train", "--device", "cpu"]


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


@pytest.fixture(autouse=True)
def nobodys_calibration(tmp_path, monkeypatch):
    monkeypatch.setenv("AABENCH_CALIBRATION", str(tmp_path / "none.json"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_fit_says_the_same_on_the_page_and_exits_the_same(tmp_path: Path) -> None:
    page = tmp_path / "fit.html"
    budget = ["--budget", "40MiB", "--attention", "materialized"]
    plain, paged = run("fit", *STEP, *budget), run("fit", *STEP, *budget, "--html", str(page))
    assert (paged.exit_code, paged.stdout) == (plain.exit_code, plain.stdout)
    assert f"wrote {page}" in paged.stderr
    html = page.read_text(encoding="utf-8")
    for line in plain.stdout.splitlines()[:2]:
        assert line in html
    assert "<h2" in html


def test_network_lists_its_layers_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "network.html"
    page.write_text("an earlier page")
    done = run("network", *STEP, "--depth", "1", "--format", "json", "--html", str(page))
    assert done.exit_code == 0, done.output
    html = page.read_text(encoding="utf-8")
    layers = [layer["name"] for layer in json.loads(done.stdout)["layers"]]
    assert len(layers) > 2
    for layer in layers:
        assert f">{layer}</td>" in html
    assert "debug-resnet" in html
    assert [path.name for path in tmp_path.iterdir() if "draft" in path.name] == []


def test_a_page_needs_a_network_and_a_place(tmp_path: Path) -> None:
    layer = run("fit", "--layer", "--in-channels", "8", "--html", str(tmp_path / "x.html"))
    assert isinstance(layer.exception, UsageError)
    assert "--html is a page about a network" in str(layer.exception)
    (tmp_path / "file").write_text("")
    nowhere = run("network", *STEP, "--html", str(tmp_path / "file" / "x.html"))
    assert isinstance(nowhere.exception, UsageError)
    assert "cannot be written" in str(nowhere.exception)
    assert "--html" in str(nowhere.exception)
