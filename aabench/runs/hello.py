"""The worker's greeting: the device it stands on and the environment it measures in."""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import Any

import torch

from aabench.cases.catalogue import import_attribute
from aabench.errors import UsageError
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.settings import ALL


def hello(device: str, outside_code: list[str]) -> dict[str, Any]:
    """Resolve ``auto`` and ``all``, import what the grid names of other people's code, describe the machine.

    A device that does not exist and code that cannot be imported are an ``error``.

    Returns:
        ``devices``, the facts of each; ``device``, those of the first; ``environment``.
    """
    from aabench.measuring.environment import describe_environment

    try:
        for target in outside_code:
            if not callable(import_attribute(target)):
                raise UsageError(f"{target} cannot be called", instead="name a function or class")
        found = [device_facts(each) for each in _each_device(device)]
    except UsageError as error:
        return {"error": str(error)}
    environment = describe_environment()
    devices = [_named(facts, environment).to_dict() for facts in found]
    return {"device": devices[0], "devices": devices, "environment": environment}


def facts_here(device: str) -> DeviceFacts:
    """The facts of a device, found out in this process, which may then hold a CUDA context.

    Raises:
        UsageError: there is no such device.
    """
    from aabench.measuring.environment import describe_environment

    return _named(device_facts(device), describe_environment())


def _named(facts: DeviceFacts, environment: dict[str, Any]) -> DeviceFacts:
    """The facts of a CPU with the processor's name."""
    if facts.type != "cpu":
        return facts
    return replace(facts, name=str(environment["cpu"] or facts.name))


def _each_device(device: str) -> list[str]:
    """The devices that ``--device`` names, one by one.

    Raises:
        UsageError: ``all`` of none.
    """
    if device != ALL:
        return device.split(",")
    count = _cuda_devices()
    if not count:
        raise UsageError(
            "--device all: this machine has no CUDA device",
            instead="take --device cpu; CPU cases take turns, as they would disturb each other",
        )
    return [f"cuda:{number}" for number in range(count)]


def _cuda_devices() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_facts(device: str) -> DeviceFacts:
    """The facts of a device that exists.

    Raises:
        UsageError: it does not.
    """
    count = _cuda_devices()
    if device == "auto":
        device = "cuda:0" if count else "cpu"
    if device == "cpu":
        return DeviceFacts("cpu", platform.machine())
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        found = [f"cuda:{number}" for number in range(count)]
        why = "this machine has no CUDA device" if not count else f"there is no cuda:{index}"
        raise UsageError(f"--device: {why}", got=device, allowed=["auto", "cpu", *found])
    return DeviceFacts(
        f"cuda:{index}",
        torch.cuda.get_device_name(index),
        torch.cuda.get_device_capability(index),
    )
