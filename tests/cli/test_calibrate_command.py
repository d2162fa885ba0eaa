"""``aabench calibrate``, end to end: it measures, stores, shows, and predictions use what it stored."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from aabench.cli.main import app
from aabench.cost.bands import Bands
from aabench.errors import UsageError

COMMAND = [sys.executable, "-m", "aabench", "calibrate"]


def run(*words, path, **kwargs):
    environment = {**os.environ, "AABENCH_CALIBRATION": str(path)}
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, env=environment, **kwargs
    )


def test_a_short_calibration_is_stored_and_used(tmp_path):
    path = tmp_path / "folder" / "calibration.json"
    done = run("--device", "cpu", "--seconds", "1", "--format", "json", path=path, timeout=240)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["path"] == str(path)
    assert told["ceilings"]["bandwidth_bytes_per_s"] > 0 and told["cases"]
    assert "copy bandwidth" in done.stderr
    bands = Bands.load(path=path)
    assert bands.calibration.device_name == told["device_name"]
    assert bands.ceilings.is_measured


def test_a_device_that_is_not_there_is_refused_and_nothing_stored(tmp_path):
    done = run("--device", "cuda:99", path=tmp_path / "calibration.json")
    assert done.returncode == 2 and "there is no" in done.stderr.replace("has no", "there is no")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9"])
def test_a_time_out_of_range_is_refused(seconds):
    refused = CliRunner().invoke(app, ["calibrate", f"--seconds={seconds}"]).exception
    assert isinstance(refused, UsageError) and "--seconds: out of range" in str(refused)


def test_a_broken_file_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    path = tmp_path / "calibration.json"
    path.write_text("{}")
    monkeypatch.setenv("AABENCH_CALIBRATION", str(path))
    done = CliRunner().invoke(app, ["calibrate"])
    assert isinstance(done.exception, UsageError) and "measuring" not in done.output
    assert "not a calibration" in str(done.exception) and path.read_text() == "{}"
