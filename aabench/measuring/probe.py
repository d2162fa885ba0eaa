"""The probe process: ``python -m aabench.measuring.probe`` tries one thing after another for its parent.

The name of a stage comes as a line on standard input, what it found goes out as a line of JSON. A
stage may hang or take the process down with it: that is why this is a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

LONGEST_LIFE_SECONDS = 1800
"""When the system ends a probe that hangs and whose parent is gone."""

MOST_CHARACTERS = 300


def main() -> None:
    """Answer for one stage after another until standard input ends."""
    if hasattr(signal, "alarm"):
        signal.alarm(LONGEST_LIFE_SECONDS)
    stages, answers = _private_pipes()
    for line in stages:
        try:
            answer = {"facts": STAGES[line.strip()]()}
        except Exception as error:  # whatever a broken installation raises is what was asked for
            answer = {"problem": _named(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _nvml() -> Any:
    from aabench.measuring.nvml_probe import read_cards

    return [asdict(card) for card in read_cards()]


def _torch() -> Any:
    import torch

    return {"version": str(torch.__version__), "cuda": torch.version.cuda}


def _environment() -> Any:
    from aabench.measuring.environment import describe_environment

    return describe_environment()


def _cpu() -> Any:
    import torch

    from aabench.measuring.device_probe import convolve

    convolve(torch.device("cpu"))
    return True


def _cuda() -> Any:
    """Every CUDA device with its problem; where there is none, why torch says so."""
    import torch

    if not torch.cuda.is_available():
        try:
            torch.cuda.init()
        except Exception as error:  # this error is the only place where torch says why
            return {"devices": [], "why_none": _named(error)}
        return {"devices": [], "why_none": "torch.cuda.is_available() is false"}
    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return {"devices": [{"device": name, "problem": _cuda_problem(name)} for name in names]}


def _cuda_problem(name: str) -> str | None:
    import torch

    from aabench.measuring.device_probe import convolve

    try:
        convolve(torch.device(name))
    except Exception as error:  # one card's trouble must not hide the others
        return _named(error)
    return None


def _cpu_kernels() -> Any:
    import torch

    from aabench.measuring.kernel_probe import try_kernels

    return [asdict(trial) for trial in try_kernels(torch.device("cpu"))]


def _cuda_kernels() -> Any:
    import torch

    from aabench.measuring.kernel_probe import try_kernels

    return [asdict(trial) for trial in try_kernels(torch.device("cuda"))]


def _triton() -> Any:
    import torch

    with _fresh_caches():
        from aabench.measuring.triton_probe import run_triton

        run_triton(torch.device("cuda"))
    return True


def _compile_on(device: str) -> Callable[[], float]:
    def run() -> float:
        import torch

        from aabench.measuring.device_probe import compile_seconds

        with _fresh_caches():
            return compile_seconds(torch.device(device))

    return run


STAGES: dict[str, Callable[[], Any]] = {
    "nvml": _nvml,
    "torch": _torch,
    "environment": _environment,
    "cpu": _cpu,
    "cpu kernels": _cpu_kernels,
    "cpu compile": _compile_on("cpu"),
    "cuda": _cuda,
    "cuda kernels": _cuda_kernels,
    "triton": _triton,
    "cuda compile": _compile_on("cuda"),
}
"""What can be tried, by name. Facts are JSON values."""


@contextmanager
def _fresh_caches() -> Iterator[None]:
    """Compilers that find nothing compiled before, and so have to work; one process is enough."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder, "inductor"))
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
        os.environ["TRITON_CACHE_DIR"] = str(Path(folder, "triton"))
        yield


def _private_pipes() -> tuple[IO[str], IO[str]]:
    """Move the pipes to where no library prints; standard output becomes standard error."""
    stages = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return stages, answers


def _named(error: Exception) -> str:
    """An error as one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}"[:MOST_CHARACTERS] if text else name


if __name__ == "__main__":
    main()
