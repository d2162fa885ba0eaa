"""The Python door to fitting: one call, one answer, nothing run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from aabench.cases.axes import STEP_AXES
from aabench.cases.card import Card, chosen_card
from aabench.cases.case import Case
from aabench.cases.grid import Entry, Grid
from aabench.cost.target import Target
from aabench.cost.traced.case_step import step_settings
from aabench.errors import UsageError
from aabench.fitting.budget import Budget
from aabench.fitting.fit import Fit, find_fit
from aabench.fitting.predictor import Predictor
from aabench.fitting.source import GivenModel, NamedNetwork, Source, check_augments
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import MARGIN_SHARE
from aabench.measuring.available_memory import available_bytes
from aabench.networks.selection import Selection

GIB = 2**30


def fit(
    network: str | nn.Module,
    *,
    layers: Selection | None = None,
    input_size: tuple[int, int, int] = (3, 224, 224),
    budget: str | int | None = None,
    gpu: str | None = None,
    vram: str | None = None,
    arch: str | None = None,
    device: str = "auto",
    reserve: str | None = None,
    extra: str | None = None,
    maximize: str | None = None,
    min_key_depth_per_head: int | None = None,
    **axes: Any,
) -> Fit:
    """Which layers of a network fit a memory budget, and the least change that makes all of them fit.

    ``aabench.fit("aa-wrn28-10", batch=128, mode="train", gpu="t4-16gb")`` judges a network of the
    catalogue on a card that need not be here; ``aabench.fit(model, layers="layer4.*.conv2",
    kappa=0.25, upsilon=0.25, batch=32, mode="train", budget="16GiB")`` any model that ``augment``
    takes, which is not changed.

    Args:
        network: a name of ``aabench list networks``, ``timm:NAME``, ``torchvision:NAME``,
            ``package.module:function``, or a model.
        layers: of a model, what ``augment`` is to augment.
        input_size: of a model, (C, H, W) of one image.
        budget: bytes, or text such as ``16GiB``; by default what the card leaves to a process, or what
            is free on this machine now.
        gpu: a card of ``aabench list gpus``, or the TOML file of one.
        vram: with ``arch``, an unlisted card's memory, such as ``12GiB``.
        arch: its architecture, such as ``sm89``.
        device: without a card, this machine's ``cpu`` or ``cuda:N``; ``auto`` takes a card if any.
        reserve: of the budget, for other tenants.
        extra: bytes on top of what is predicted, for what nobody can know.
        maximize: a setting whose largest value that fits is to be found instead of remedies:
            ``batch``, ``resolution``, ``kappa``, ``upsilon``, ``heads`` or ``stages``.
        min_key_depth_per_head: the floor on dk/Nh where dk comes from kappa.
        **axes: one value each of the axes of a sweep: ``batch``, ``mode``, ``precision``,
            ``attention`` (a form, to judge that alone; else every exact one) and so on; of a named
            network also what can be changed of it, of a model what else ``augment`` takes.

    Raises:
        UsageError: an unknown name or value, nothing to augment, a model that cannot be traced.
    """
    asked = _asked(network, layers, input_size, axes, min_key_depth_per_head)
    target, free = chosen_target(device, gpu, vram, arch)
    available = Budget.of(budget, card=target.card, free_bytes=free, reserve=reserve, extra=extra)
    if asked.step.compile:
        raise UsageError("what compiled networks allocate is not predicted", instead="leave it out")
    settings = replace(step_settings(asked.step, target), of_layer=False)
    subject = Subject(asked.source, asked.step.attention, asked.step.batch, settings)
    found = find_fit(subject, Predictor(target), available, maximize)
    notes = asked.notes
    if budget is None and free is not None:
        notes += _changes(free, free_bytes(target, device))
    return replace(found, notes=notes)


def _changes(before: int, after: int) -> tuple[str, ...]:
    """What to say where the free memory has changed by more than the margin meanwhile."""
    if abs(after - before) <= MARGIN_SHARE * before:
        return ()
    return (
        f"free memory went from {before / GIB:.2f} to {after / GIB:.2f} GiB while this ran; the "
        "verdicts hold for the first: give --budget or --reserve",
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for.

    Attributes:
        source: of the network.
        step: a case with the step's batch, mode and so on; of a model, its subject stands for nothing.
        notes: what was not taken as it was written.
    """

    source: Source
    step: Case
    notes: tuple[str, ...] = ()


def _asked(
    network: str | nn.Module,
    layers: Selection | None,
    input_size: tuple[int, int, int],
    axes: dict[str, Any],
    floor: int | None,
) -> _Asked:
    if not isinstance(network, nn.Module):
        if layers is not None:
            raise UsageError("layers are chosen of a model", instead="give a name's as augment=")
        entry = _single({**axes, "network": network}, floor)
        assert entry.case.network is not None
        check_augments(entry.case.network)
        return _Asked(NamedNetwork(entry.case.network), entry.case, entry.notes)
    if layers is None:
        raise UsageError(
            "nothing to augment: no layers are chosen",
            instead="give layers=, as augment() takes it",
        )
    of_step = {axis.name for axis in STEP_AXES} - {"resolution"}
    step = {name: value for name, value in axes.items() if name in of_step}
    options = {name: value for name, value in axes.items() if name not in of_step}
    if floor is not None:
        options["min_key_depth_per_head"] = floor
    return _Asked(GivenModel(network, layers, input_size, options), _single(step, None).case)


def _single(axes: dict[str, Any], floor: int | None) -> Entry:
    """The only entry of a grid.

    Raises:
        UsageError: a bad axis or value, or several values of one.
    """
    grid = Grid.of(axes, min_key_depth_per_head=floor)
    grid.check_single()
    (entry,) = grid.entries()
    return entry


def chosen_target(
    device: str, gpu: str | None, vram: str | None, arch: str | None
) -> tuple[Target, int | None]:
    """The device that is judged for, and its free memory if it is this machine's.

    Raises:
        UsageError: an unknown card or device, or flags that contradict each other.
    """
    card = chosen_card(gpu, vram, arch)
    if card is not None:
        return Target.of_card(card), None
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return Target("cpu"), available_bytes()
    index = _index(device)
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        raise UsageError("--device: there is no such device", got=device, allowed=["auto", "cpu"])
    name = torch.cuda.get_device_name(index)
    capability = torch.cuda.get_device_capability(index)
    target = Target("cuda", name, capability, Card.of_device(name))
    return target, free_bytes(target, device)


def free_bytes(target: Target, device: str) -> int:
    """What is free on this machine's device now.

    On a card this process has a context once it has asked; what that takes is missing from the answer
    and part of every need, so that verdicts err towards ``too close to tell``.
    """
    if target.device_type == "cpu":
        return available_bytes()
    free, _ = torch.cuda.mem_get_info(_index(device))
    return int(free)


def _index(device: str) -> int:
    number = device.partition(":")[2] or "0"
    is_device = device in ("auto", "cuda") or (device.startswith("cuda:") and number.isdecimal())
    if not is_device:
        raise UsageError(
            "--device: no such device", got=device, allowed="auto, cpu, cuda or cuda:N"
        )
    return int(number)
