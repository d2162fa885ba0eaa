"""The machine: whether there is a card, its name, and which packages are there, without importing them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WANTED = {
    "torch": "nothing runs without it",
    "typer": "nothing runs without it",
    "rich": "nothing runs without it",
    "numpy": "nothing runs without it",
    "pandas": "nothing runs without it",
    "psutil": "nothing runs without it",
    "pynvml": "of the package nvidia-ml-py: no clocks, power and energy",
    "torchvision": "no networks",
    "timm": "no networks",
    "pytest": "no tests",
    "hypothesis": "no tests",
    "pytest_timeout": "no tests",
}
"""Modules that parts import, and what is lost without each."""

LONGEST_S = 60.0

_ASK = """
import json, platform, torch
has_card = torch.cuda.is_available()
print(json.dumps({
    "has_card": has_card,
    "name": torch.cuda.get_device_name(0) if has_card else platform.processor() or platform.machine(),
    "versions": {
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version() if has_card else None,
    },
}))
"""


def missing_modules() -> list[str]:
    """The modules of ``WANTED`` that are not installed."""
    return [name for name in WANTED if importlib.util.find_spec(name) is None]


def install_wheels(wheels: Path, target: Path) -> bool:
    """Install every wheel of a folder into another folder, from no index; whether that went well.

    Dependencies are not followed: whoever put the wheels there chose them, and torch is not among
    them.
    """
    found = sorted(str(path) for path in wheels.glob("*.whl"))
    if not found:
        return False
    words = ("install", "--quiet", "--no-index", "--no-deps", "--find-links", str(wheels))
    command = [sys.executable, "-m", "pip", *words, "--target", str(target), *found]
    done = subprocess.run(command, check=False)
    return done.returncode == 0


def ask_machine(environment: Mapping[str, str]) -> dict[str, Any]:
    """What torch says of the machine, asked in a process of its own, which leaves the card free.

    Raises:
        RuntimeError: torch cannot be imported or asked.
    """
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"torch cannot be asked for a card: {done.stderr.strip()[-300:]}")
    values = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(values, dict)
    return values
