"""The parts on a card, and the same in small for a rehearsal on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.part import Part

REPEATED = ("repeat-a", "repeat-b")
"""One profile twice."""

SWEEPS = ("exact", "forms", "plain-sdpa", *REPEATED, "oom", "networks", "layers", "flex")
"""The parts that leave a run folder of their name."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much each part does.

    Attributes:
        device: the torch device.
        tests: what pytest is given.
        calibration_s: for ``aabench calibrate``.
        too_large: flags of a grid that holds one case far too large and one small one.
        fit: the words of ``aabench fit``.
        smaller: by sweep, flags that make it smaller than its profile.
    """

    device: str
    tests: tuple[str, ...]
    calibration_s: int
    too_large: tuple[str, ...]
    fit: tuple[str, ...]
    smaller: dict[str, tuple[str, ...]]


CARD = Size(
    device="cuda",
    tests=("tests",),
    calibration_s=20,
    too_large=("--in-channels", "16", "--resolution", "8,256", "--batch", "256"),
    fit=("aa-wrn28-10", "--batch", "128", "--emulate", "16GiB"),
    smaller={},
)

_TINY = (
    *("--in-channels", "16", "--heads", "2", "--dk", "8", "--dv", "8", "--resolution", "4,6"),
    *("--batch", "1", "--seconds-per-case", "0.05"),
)
_TINY_FORMS = (*_TINY, "--attention", "materialized,sdpa-bias,factored")
_TINY_NETWORKS = (
    *("--network", "aa-debug-resnet,debug-resnet", "--batch", "2", "--precision", "fp32"),
    *("--attention", "auto", "--seconds-per-case", "0.05"),
)

REHEARSAL = Size(
    device="cpu",
    tests=("tests/measuring/test_kernels.py", "tests/measuring/test_cuda_card.py"),
    calibration_s=3,
    too_large=("--in-channels", "16", "--resolution", "4,256", "--batch", "16"),
    fit=("aa-debug-resnet", "--batch", "2", "--emulate", "64MiB"),
    smaller={
        "exact": ("--resolution", "4", "--attention", "materialized,blocked"),
        "forms": _TINY_FORMS,
        "plain-sdpa": _TINY,
        **dict.fromkeys(REPEATED, (*_TINY, "--precision", "fp32", "--attention", "materialized")),
        "networks": _TINY_NETWORKS,
        "flex": (*_TINY, "--attention", "flex", "--mode", "infer", "--resolution", "4"),
        "layers": (*_TINY_FORMS, "--mode", "infer", "--precision", "fp32"),
    },
)

ONCE = ("--rounds", "1", "--seconds-per-case", "0.3")
PLAIN_SDPA = ("gpu-forms", "--attention", "sdpa-bias", "--position", "none")
LAYERS = ("gpu-layers", *ONCE)
FLEX = ("gpu-forms", "--attention", "flex", "--resolution", "14,32,64", "--precision", "bf16")
REPEAT = (
    *("gpu-forms", "--attention", "materialized,factored,blocked", "--resolution", "28,56"),
    *("--mode", "infer", "--rounds", "2", "--seconds-per-case", "0.6"),
)


def planned(size: Size, folder: Path) -> list[Part]:
    """All parts in their order: what proves most comes first, what fills the time last.

    Sweeps before the calibration are predicted without it, so that errors of prediction are those of
    a card that nobody has measured.

    Args:
        size: how much each does.
        folder: where run folders go.
    """
    device = ("--device", size.device)
    runs = [str(folder / name) for name in REPEATED]
    calibrate = ("calibrate", "--seconds", str(size.calibration_s), *device, "--format", "json")
    fit = ("fit", *size.fit, "--mode", "train", *device)
    return [
        _aabench("doctor", "what the machine can measure", 15, "doctor", "--format", "json"),
        Part("tests", "the tests marked gpu", ("pytest", "-q", "-m", "gpu", *size.tests), 40),
        _sweep(size, folder, "exact", "every form in fp32, bf16, fp16", 45, "gpu-exact"),
        _sweep(size, folder, "oom", "a case far too large, and one after it", 15, *_oom(size)),
        _sweep(size, folder, "forms", "every form at five sizes", 100, "gpu-forms"),
        _sweep(size, folder, "plain-sdpa", "stock attention, no positions", 25, *PLAIN_SDPA),
        _sweep(size, folder, "networks", "whole networks", 60, "gpu-networks"),
        *(_sweep(size, folder, name, "one profile twice", 22, *REPEAT) for name in REPEATED),
        _aabench(
            "compare", "the two beside each other", 6, "compare", *runs, "--format", "json"
        ).needing(*REPEATED),
        _aabench("fit", "verdicts of fit, tried under a cap", 40, *fit).accepting(0, 3, 4),
        _aabench("calibrate", "ceilings and bands of this machine", 30, *calibrate),
        _sweep(size, folder, "flex", "FlexAttention, compiled", 30, *FLEX),
        _sweep(size, folder, "layers", "published depths, calibrated", 15, *LAYERS),
    ]


def _oom(size: Size) -> tuple[str, ...]:
    """Two rounds: in the second the small case runs after the large one has failed."""
    layer = ("--heads", "2", "--dk", "8", "--dv", "8", "--attention", "materialized")
    return *size.too_large, *layer, "--rounds", "2", "--seconds-per-case", "0.1"


def _sweep(size: Size, folder: Path, name: str, purpose: str, seconds: float, *words: str) -> Part:
    """A sweep into its own run folder; of flags given twice the last one counts."""
    smaller = size.smaller.get(name, ())
    target = ("--device", size.device, "--out", str(folder / name), "--format", "csv")
    return _aabench(name, purpose, seconds, "sweep", *words, *smaller, *target)


def _aabench(name: str, purpose: str, seconds: float, *words: str) -> Part:
    return Part(name, purpose, ("aabench", *words), seconds)
