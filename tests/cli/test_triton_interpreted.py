"""``--attention triton`` from the command line to the row, on the CPU: in Triton's interpreter."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_a_layer_is_measured_in_tritons_interpreter():
    words = (
        "layer --in-channels 8 --heads 2 --dk 8 --dv 4 --resolution 4 --attention triton --mode train "
        "--measure --seconds-per-case 0.02 --device cpu --format json"
    )
    done = subprocess.run(
        [sys.executable, "-m", "aabench", *words.split()],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["measured"]
    assert row["status"] == "ok", row
    assert row["attention"] == "triton"
    assert row["kernel"] == "triton-interpreter"
    assert 0 < row["check_error"] <= row["check_bound"]
    assert "interpreter" in row["warnings"]
