"""The probe process, ``python -m aabench.measuring.machine.probe``: tries what its parent names.

A line on standard input has the seconds that a stage may take and its name; what it found goes out
as a line of JSON. A stage may hang or take the process down with it: that is why it is one.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

GRACE_SECONDS = 1.0
"""How long a parent that is still there has to end a stage that hangs, before the system does."""

MOST_CHARACTERS = 300

FIRST_CARD = "cuda:0"
"""Where kernels are tried: what compiles and dispatches depends on the installation more than on
the card, and a machine's cards are mostly alike."""


def main() -> None:
    """Answer for one stage after another until standard input ends."""
    requests, answers = _private_pipes()
    for line in requests:
        seconds, stage = line.split(maxsplit=1)
        with _limited(float(seconds)):
            answer = _answer(stage.strip())
        answers.write(answer + "\n")
        answers.flush()


def _answer(stage: str) -> str:
    try:
        return json.dumps({"facts": STAGES[stage]()}, allow_nan=False)
    except Exception as error:  # whatever a broken installation raises is what was asked for
        return json.dumps({"problem": _named(error)})


def _nvml() -> Any:
    from aabench.measuring.machine.nvml_probe import read_cards

    return [asdict(card) for card in read_cards()]


def _torch() -> Any:
    import torch

    return {"version": str(torch.__version__), "cuda": torch.version.cuda}


def _environment() -> Any:
    from aabench.measuring.environment import describe_environment

    return describe_environment()


def _cpu() -> Any:
    import torch

    from aabench.measuring.machine.device_probe import convolve

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

    from aabench.measuring.machine.device_probe import convolve

    try:
        convolve(torch.device(name))
    except Exception as error:  # one card's trouble must not hide the others
        return _named(error)
    return None


def _cpu_kernels() -> Any:
    import torch

    from aabench.measuring.machine.kernel_probe import try_kernels

    return [asdict(trial) for trial in try_kernels(torch.device("cpu"))]


def _cuda_kernels() -> Any:
    import torch

    from aabench.measuring.machine.kernel_probe import try_kernels

    return [asdict(trial) for trial in try_kernels(torch.device(FIRST_CARD))]


def _triton() -> Any:
    import torch

    with _fresh_caches():
        from aabench.measuring.machine.triton_probe import run_triton

        run_triton(torch.device(FIRST_CARD))
    return True


def _compile_on(device: str) -> Callable[[], float]:
    def run() -> float:
        import torch

        from aabench.measuring.machine.device_probe import compile_seconds

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
    "cuda compile": _compile_on(FIRST_CARD),
}
"""What can be tried, by name. Facts are JSON values."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Let the system end this process if a stage hangs and the parent is no longer there to do it."""
    signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


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
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


def _named(error: Exception) -> str:
    """An error as one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}"[:MOST_CHARACTERS] if text else name


if __name__ == "__main__":
    main()
