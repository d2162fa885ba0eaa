"""The explanation of one layer: what each part costs, and what fills the memory at the peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aabench.cases.case import Case
from aabench.cases.choice import AUTO
from aabench.cases.part import Part
from aabench.cases.validity import layer_problem
from aabench.cost import timeline
from aabench.cost.attention import Macs
from aabench.cost.columns import LayerColumns
from aabench.cost.counts import (
    CONVOLUTION,
    KQV,
    LOGITS,
    MIX,
    PARTS,
    POSITION_LOGITS,
    SOFTMAX,
    LayerCounts,
)
from aabench.cost.execution import Capability
from aabench.cost.groups import groups_of
from aabench.cost.layer_step import LayerStep
from aabench.cost.layers import closed_form, predict_layers
from aabench.cost.shapes import EXTRA_CHANNELS, LayerShapes
from aabench.errors import UsageError

SAVED_BY = {
    timeline.INPUT: KQV,
    timeline.PARAMETERS: CONVOLUTION,
    timeline.KQV: KQV,
    timeline.LOGITS: LOGITS,
    timeline.POSITION_LOGITS: POSITION_LOGITS,
    timeline.SOFTMAX: SOFTMAX,
    timeline.OUTPUT: MIX,
}
"""Which part keeps blocks of which kind from its forward to its backward pass."""


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What one case costs.

    Attributes:
        case: the case.
        parts: its pieces in the order of the computation; those that it lacks are left out.
        peak: bytes alive at the predicted peak by kind, those that are there; they sum to it.
        figures: what ``predict_layers`` or the bands say of it, by name.

    """

    case: Case
    parts: tuple[Part, ...]
    peak: dict[str, int]
    figures: dict[str, Any]

    @property
    def maps_at_peak(self) -> float:
        """Full (B, Nh, N, N) attention maps alive at the peak, in units of the products' format."""
        return float(self.figures.get("maps_at_peak", 0))


def explain(
    case: Case,
    device_type: str = "cpu",
    threads: int | None = None,
    capability: Capability | None = None,
) -> LayerCost:
    """What one case costs, part by part.

    Args:
        case: a resolved case; see ``LayerColumns`` for the device and its threads.
        device_type: whose memory is predicted.
        threads: CPU threads.
        capability: of the CUDA device, if it is known.

    Raises:
        UsageError: an impossible layer, ``auto`` not resolved, a form or position encoding without
            a closed form, or sizes that 64 bits do not hold.

    """
    case = case.canonical()
    _check(case, device_type)
    columns = LayerColumns.from_cases([case], device_type, threads, capability)
    predicted = predict_layers(columns, composition=True)
    figures: dict[str, Any] = {name: values[0].item() for name, values in predicted.items()}
    prefix = "peak_bytes: "
    peak = {
        name.removeprefix(prefix): figures.pop(name) for name in list(figures) if prefix in name
    }
    return LayerCost(
        case=case,
        parts=_parts(columns),
        peak={kind: size for kind, size in peak.items() if size},
        figures=figures,
    )


def _check(case: Case, device_type: str) -> None:
    layer = case.layer
    problem = layer_problem(layer)
    if problem is not None:
        raise UsageError(problem)
    if layer.is_plain:
        return
    if case.attention == AUTO:
        raise UsageError(
            "auto has to be resolved before a case is explained",
            instead="see aabench.cases.choice.choose_attention",
        )
    unknown, form = None, closed_form(case.attention)
    if form is None:
        unknown = f"the attention form {case.attention!r}"
    elif not form.knows_memory(device_type):
        unknown = f"the memory of the attention form {case.attention!r} on {device_type}"
    if layer.position not in EXTRA_CHANNELS:
        unknown = f"the position encoding {layer.position!r}"
    if unknown:
        raise UsageError(f"{unknown} has no closed form", instead="measure the case")


def _parts(columns: LayerColumns) -> tuple[Part, ...]:
    (group,) = groups_of(columns)
    setting = group.setting
    shapes = LayerShapes.of(setting, group.layers)
    form = None if setting.attention is None else closed_form(setting.attention)
    counts = LayerCounts.of(setting, shapes, form)
    saved = _saved(LayerStep(setting, shapes, form))
    assert counts.macs is not None
    none = Macs(np.zeros(1, np.int64), np.zeros(1, np.int64))
    parts = [
        Part(
            name=name,
            params=int(counts.params[name][0]) if name in counts.params else 0,
            macs_forward=int(counts.macs.get(name, none).forward[0]),
            macs_step=int(counts.macs.get(name, none).step[0]),
            bytes_saved=saved.get(name, 0),
            meaning=meaning,
        )
        for name, meaning in PARTS.items()
        if name in counts.macs or name in saved or (name == SOFTMAX and shapes.attention)
    ]
    return tuple(parts)


def _saved(step: LayerStep) -> dict[str, int]:
    """Bytes kept for the backward pass, by part."""
    saved: dict[str, int] = {}
    for block in step.saved:
        part = SAVED_BY[block.kind]
        saved[part] = saved.get(part, 0) + int(block.size[0])
    return saved
