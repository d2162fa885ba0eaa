"""Comparability: whether figures from two environments may stand in one table.

Imports nothing heavy: the process that resumes a run compares, without measuring anything itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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

HARDWARE = {
    "cpu",
    "cpu_capability",
    "usable_cores",
    "governor",
    "torch_threads",
    "torch_interop_threads",
}
"""Of these, what is of the machine rather than of the software on it."""

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


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two environments do not agree on.

    Attributes:
        label: what it is called.
        first: its value in the first environment.
        second: its value in the second one.
    """

    label: str
    first: object
    second: object

    def told(self, first: str, second: str) -> str:
        """One line with the names of the environments, such as ``torch 2.11 in A, 2.15 in B``."""
        return f"{self.label} {_shown(self.first)} {first}, {_shown(self.second)} {second}"


def environment_differences(run: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """What makes figures measured here not comparable with those of a run, one line each.

    Args:
        run: the environment that a run was begun in.
        here: the environment of this process.

    Returns:
        Lines such as ``torch 2.11 here, 2.15 in the run``; empty if they are comparable.

    """
    return [each.told("here", "in the run") for each in differences(here, run)]


def differences(first: Mapping[str, object], second: Mapping[str, object]) -> list[Difference]:
    """What two environments do not agree on.

    Load, free memory, temperature and clocks come and go and are not compared. What either side
    does not know, or did not record, is no difference.
    """
    found = [
        Difference(label, first[name], second[name])
        for name, label in FIELDS.items()
        if _differ(name, first.get(name), second.get(name))
    ]
    return found + _variable_differences(first, second) + _gpu_differences(first, second)


def software_differences(
    first: Mapping[str, object], second: Mapping[str, object]
) -> list[Difference]:
    """What two machines of one run must agree on: all but the machines themselves."""
    return [
        Difference(label, first[name], second[name])
        for name, label in FIELDS.items()
        if name not in HARDWARE and _differ(name, first.get(name), second.get(name))
    ] + _variable_differences(first, second)


def _differ(name: str, first: object, second: object) -> bool:
    if first is None or second is None:
        return False
    if name in MINOR_VERSION_ONLY:
        return str(first).split(".")[:2] != str(second).split(".")[:2]
    return first != second


def _variable_differences(
    first: Mapping[str, object], second: Mapping[str, object]
) -> list[Difference]:
    before, after = first.get("variables"), second.get("variables")
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return []
    return [
        Difference(name, before.get(name, "not set"), after.get(name, "not set"))
        for name in sorted({*before, *after} - NOT_COMPARED)
        if before.get(name) != after.get(name)
    ]


def _gpu_differences(first: Mapping[str, object], second: Mapping[str, object]) -> list[Difference]:
    before, after = _gpus(first), _gpus(second)
    if before is None or after is None:
        return []
    if len(before) != len(after):
        return [Difference("number of GPUs:", len(before), len(after))]
    return [
        Difference(f"GPU {place} {label}", one[name], other[name])
        for place, (one, other) in enumerate(zip(before, after, strict=True))
        for name, label in GPU_FIELDS.items()
        if _differ(name, one.get(name), other.get(name))
    ]


def _gpus(environment: Mapping[str, object]) -> list[Mapping[str, object]] | None:
    """The GPUs of an environment; None if it has no list of them."""
    gpus = environment.get("gpus")
    if not isinstance(gpus, list) or not all(isinstance(gpu, Mapping) for gpu in gpus):
        return None
    return gpus


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
