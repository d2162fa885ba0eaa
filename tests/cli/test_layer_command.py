"""``aabench layer`` as a person types it: the peak that adds up, cards with and without times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aabench.cli.main import app
from aabench.errors import UsageError

TINY = ["--in-channels", "16", "--heads", "2", "--resolution", "4", "--dk", "8", "--dv", "4"]

CARD = """
name = "a card of my own"
compute_capability = "8.9"
memory = "12GiB"
bandwidth_bytes_per_s = 360e9
rates_flops_per_s = { fp32 = 22e12 }
"""


@pytest.fixture(autouse=True)
def nobodys_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AABENCH_CALIBRATION", str(tmp_path / "none.json"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def layer(*words: str) -> Result:
    return CliRunner().invoke(app, ["layer", *words])


@pytest.mark.parametrize("where", [["--gpu", "t4-16gb"], ["--device", "cpu"]], ids=" ".join)
@pytest.mark.parametrize("kind", ["augmented", "local"])
def test_what_is_alive_at_the_peak_adds_up_to_it(where: list[str], kind: str) -> None:
    words = TINY if kind == "augmented" else ["--layer", "local", "--resolution", "4"]
    answer = json.loads(layer(*where, *words, "--format", "json").stdout)
    assert sum(answer["peak_bytes"].values()) == answer["predicted"]["predicted_peak_bytes"]
    assert ("library workspaces" in answer["peak_bytes"]) == ("--gpu" in where)


def test_workspaces_that_dwarf_a_tiny_layer_are_explained() -> None:
    told = " ".join(layer(*TINY, "--gpu", "t4-16gb").stdout.split())
    assert "library workspaces: what cuBLAS keeps to work in on a card" in told
    assert "library workspaces" not in layer(*TINY, "--device", "cpu").stdout


def test_a_card_without_rates_says_that_there_are_no_times_and_how_to_have_them(
    tmp_path: Path,
) -> None:
    unlisted = layer(*TINY, "--vram", "12GiB", "--arch", "sm89")
    assert unlisted.exit_code == 0
    assert unlisted.stderr.startswith("aabench: no times for a card of 12GiB, sm89: ")
    assert "time " not in unlisted.stdout
    for key in ("name", "compute_capability", "memory", "bandwidth_bytes_per_s"):
        assert key in unlisted.stderr and key in CARD
    card = tmp_path / "my-card.toml"
    card.write_text(CARD)
    described = layer(*TINY, "--gpu", str(card))
    assert described.stderr == ""
    assert "time " in described.stdout


def test_a_form_for_cards_is_not_to_be_measured_on_the_cpu() -> None:
    done = layer(*TINY, "--attention", "triton", "--device", "cpu")
    assert isinstance(done.exception, UsageError)
    assert "made for NVIDIA cards" in str(done.exception) and "--gpu NAME" in str(done.exception)


def test_a_form_that_a_card_is_too_old_for_is_said_to_be_so() -> None:
    done = layer(*TINY, "--attention", "triton", "--gpu", "t4-16gb")
    assert "note: triton does not run there: it needs compute capability 8.0" in done.stdout
    assert "does not run" not in layer(*TINY, "--attention", "triton", "--gpu", "a10-24gb").stdout
