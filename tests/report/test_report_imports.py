"""Importing the report loads nothing heavy: a list or an error must come in milliseconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import aabench.report

HEAVY = {"torch", "pandas", "numpy", "pydantic", "torchvision", "fvcore"}


def test_every_file_of_the_report_can_be_imported_without_anything_heavy() -> None:
    folder = Path(aabench.report.__file__).parent
    names = [f"aabench.report.{path.stem}" for path in folder.glob("[a-z]*.py")]
    assert "aabench.report.results_table" in names
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
