"""The explanation of a network: its modules to a chosen depth, with what each costs in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from aabench.cases.case import Case
from aabench.cases.module_part import ModulePart
from aabench.cost.target import Target
from aabench.cost.traced.traced_step import TracedModule, TracedStep
from aabench.measuring.module_times import forward_seconds
from aabench.runs.attention_choice import resolve_attention
from aabench.runs.model import augmented_cases
from aabench.runs.predicting import facts_of
from aabench.runs.subject import build_subject, numeric_flags
from aabench.runs.traced_prediction import case_model, traced_figures, traced_step

REST = "(rest)"
"""Stands for what a network does and holds between the modules that are listed."""


@dataclass(frozen=True, slots=True)
class NetworkExplanation:
    """One step of a network, taken apart.

    Attributes:
        case: what was asked.
        parts: modules of the chosen depth, or less deep ones without modules inside, in the order of
            the forward pass; their params, MACs and bytes at the peak sum to the network's.
        left_out: modules without any cost, which are not among them.
        peak: bytes alive at the peak by what they are.
        phase: of the step in which the peak falls.
        figures: totals, by column name.
        basis: how the predictions came about.
    """

    case: Case
    parts: tuple[ModulePart, ...]
    left_out: int
    peak: Mapping[str, int]
    phase: str
    figures: Mapping[str, Any]
    basis: str


def explain_network(case: Case, target: Target, depth: int | None = None) -> NetworkExplanation:
    """Predict one step of a network and take it apart.

    Args:
        case: of a network.
        target: the device it is predicted for.
        depth: 1 for stages, 2 for blocks, and so on; None down to single layers. An augmented
            convolution is one layer.

    Raises:
        UsageError: there is no such network, or its step cannot be traced.
    """
    step = traced_step(case, target)
    facts = facts_of(target)
    attentions = {
        name: _attention(resolve_attention(layer, facts)[0])
        for name, layer in augmented_cases(case_model(case), case).items()
    }
    listed = _frontier(step.modules, attentions, depth)
    parts = [_part(module, attentions.get(module.name, "")) for module in listed]
    parts.append(_rest(step, parts))
    shown = tuple(part for part in parts if _costs_something(part))
    return NetworkExplanation(
        case=case,
        parts=shown,
        left_out=len(parts) - len(shown),
        peak={name: size for name, size in step.at_peak.items() if size},
        phase=step.peak_phase,
        figures=traced_figures(step, case, target),
        basis=step.basis,
    )


def with_forward_times(explanation: NetworkExplanation, device: torch.device) -> NetworkExplanation:
    """The same with the measured forward time of every part, on a device, in this process."""
    case = explanation.case
    with numeric_flags(case):
        subject = build_subject(replace(case, compile=False), device, seed=0)
        names = [part.name for part in explanation.parts if part.name != REST]
        times = forward_seconds(subject.model, names, subject.run, synchronize=_synchronize(device))
    parts = tuple(replace(part, forward_s=times.get(part.name)) for part in explanation.parts)
    return replace(explanation, parts=parts)


def _synchronize(device: torch.device) -> Any:
    return None if device.type == "cpu" else lambda: torch.cuda.synchronize(device)


def _frontier(
    modules: Sequence[TracedModule], attentions: Mapping[str, str], depth: int | None
) -> Iterator[TracedModule]:
    """The modules at which the listing stops, which do not overlap."""
    for module in modules:
        if module.depth == 0 or any(_is_inside(module.name, name) for name in attentions):
            continue
        stops = module.is_leaf or module.name in attentions or module.depth == depth
        if stops and (depth is None or module.depth <= depth):
            yield module


def _is_inside(name: str, other: str) -> bool:
    return name.startswith(other + ".")


def _part(module: TracedModule, attention: str) -> ModulePart:
    return ModulePart(
        name=module.name,
        kind=module.kind,
        depth=module.depth,
        output_shape=module.output_shape or (),
        params=module.params,
        macs_forward=module.macs_forward,
        macs_step=module.macs_step,
        bytes_saved=module.saved_bytes,
        bytes_at_peak=module.bytes_at_peak,
        live_peak_bytes=module.live_peak_bytes,
        attention=attention,
        at_peak=module.at_peak,
    )


def _rest(step: TracedStep, parts: Sequence[ModulePart]) -> ModulePart:
    """What the network has beyond its parts: parameters of its own, additions, the loss, the input."""
    beyond = {
        kind: size - sum(part.at_peak.get(kind, 0) for part in parts)
        for kind, size in step.at_peak.items()
    }
    return ModulePart(
        name=REST,
        kind="",
        depth=1,
        output_shape=(),
        params=step.params - sum(part.params for part in parts),
        macs_forward=step.macs_forward - sum(part.macs_forward for part in parts),
        macs_step=step.macs - sum(part.macs_step for part in parts),
        bytes_saved=step.saved_bytes - sum(part.bytes_saved for part in parts),
        bytes_at_peak=step.peak_bytes - sum(part.bytes_at_peak for part in parts),
        live_peak_bytes=0,
        at_peak={kind: size for kind, size in beyond.items() if size},
    )


def _costs_something(part: ModulePart) -> bool:
    return any((part.params, part.macs_step, part.bytes_saved, part.bytes_at_peak))


def _attention(case: Case) -> str:
    layer = case.layer
    return f"Nh {layer.heads}, dk {layer.dk}, dv {layer.dv}, {case.attention}"
