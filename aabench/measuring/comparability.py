"""Comparability: whether figures from two environments may stand in one table.

Imports nothing heavy: the process that resumes a run compares, without measuring anything itself.
"""

from __future__ import annotations

from collections.abc import Mapping

FIELDS = {
    "aabench": "aabench",
    "aabench_revision": "aabench's git revision",
    "python": "Python",
    "torch": "torch",
    "torchvision": "torchvision",
    "triton": "triton",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
    "cpu": "CPU",
    "cpu_capability": "CPU capability",
    "usable_cores": "usable cores",
    "governor": "CPU governor",
    "torch_threads": "torch threads",
    "torch_interop_threads": "torch inter-op threads",
    "matmul_fp32_precision": "fp32 matmul precision",
    "cudnn_conv_fp32_precision": "fp32 convolution precision",
    "cudnn_enabled": "cuDNN enabled",
    "cudnn_benchmark": "cuDNN benchmark",
    "cudnn_deterministic": "cuDNN deterministic",
    "deterministic_algorithms": "deterministic algorithms",
    "onednn": "oneDNN",
}
"""Fields that two environments must agree on, and what they are called."""

GPU_FIELDS = {
    "name": "name",
    "driver": "driver",
    "capability": "compute capability",
    "memory_total_bytes": "memory in bytes",
    "power_limit_w": "power limit in watts",
}
"""Fields that the GPUs at the same place must agree on. Not the UUID: another card of the same kind
is comparable, and a rented machine rarely comes back with the same one."""

NOT_COMPARED = {"CUDA_VISIBLE_DEVICES"}
"""Variables that say which cards are used, which the cards themselves say better."""

MINOR_VERSION_ONLY = {"python"}


def environment_differences(run: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """What makes figures measured here not comparable with those of a run, one line each.

    Load, free memory, temperature and clocks come and go and are not compared. What either side
    does not know, or did not record, is no difference.

    Args:
        run: the environment that a run was begun in.
        here: the environment of this process.

    Returns:
        Lines such as ``torch 2.11 here, 2.15 in the run``; empty if they are comparable.

    """
    lines = [
        _line(label, here[name], run[name])
        for name, label in FIELDS.items()
        if _differ(name, run.get(name), here.get(name))
    ]
    return lines + _variable_differences(run, here) + _gpu_differences(run, here)


def _differ(name: str, in_run: object, here: object) -> bool:
    if in_run is None or here is None:
        return False
    if name in MINOR_VERSION_ONLY:
        return str(in_run).split(".")[:2] != str(here).split(".")[:2]
    return in_run != here


def _variable_differences(run: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    in_run, now = run.get("variables"), here.get("variables")
    if not isinstance(in_run, Mapping) or not isinstance(now, Mapping):
        return []
    return [
        _line(name, now.get(name, "not set"), in_run.get(name, "not set"))
        for name in sorted({*in_run, *now} - NOT_COMPARED)
        if in_run.get(name) != now.get(name)
    ]


def _gpu_differences(run: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    in_run, now = _gpus(run), _gpus(here)
    if in_run is None or now is None:
        return []
    if len(in_run) != len(now):
        return [_line("number of GPUs:", len(now), len(in_run))]
    return [
        _line(f"GPU {place} {label}", card[name], before[name])
        for place, (before, card) in enumerate(zip(in_run, now, strict=True))
        for name, label in GPU_FIELDS.items()
        if _differ(name, before.get(name), card.get(name))
    ]


def _gpus(environment: Mapping[str, object]) -> list[Mapping[str, object]] | None:
    """The GPUs of an environment; None if it has no list of them."""
    gpus = environment.get("gpus")
    if not isinstance(gpus, list) or not all(isinstance(gpu, Mapping) for gpu in gpus):
        return None
    return gpus


def _line(label: str, here: object, in_run: object) -> str:
    return f"{label} {_shown(here)} here, {_shown(in_run)} in the run"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
