"""The closed forms of whole layers: counts, peak memory and its composition, for columns of cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aabench.cases.case import Case
from aabench.cases.catalogue import ATTENTIONS, import_attribute
from aabench.cases.part import Part
from aabench.cost.attention import AttentionForm, Macs
from aabench.cost.columns import Column, LayerColumns
from aabench.cost.groups import Group, Setting, groups_of
from aabench.cost.layer_step import LayerStep
from aabench.cost.row_column_logits import row_column_macs
from aabench.cost.shapes import EXTRA_CHANNELS, LayerShapes
from aabench.cost.timeline import KQV, LOGITS, POSITION_LOGITS, SOFTMAX

MEANINGS = {
    "conv": "the convolution's own channels",
    "kqv": "1x1 convolution to keys, queries and values",
    "logits": "q k^T",
    "position logits": "q times the tables of rows and columns",
    "softmax": "over all keys; no multiply-accumulates",
    "values": "the weights times v",
    "mix": "1x1 convolution over the merged heads",
}

SAVED_KIND = {
    "kqv": KQV,
    "logits": LOGITS,
    "position logits": POSITION_LOGITS,
    "softmax": SOFTMAX,
}
"""Whose saved bytes stand beside which part."""


@dataclass(frozen=True)
class LayerCost:
    """What one case costs, part by part.

    Attributes:
        parts: in the order of the computation.
        peak: bytes alive at the predicted peak, by kind; they sum to ``predicted_peak_bytes``.
        figures: the columns of ``predict_layers``.
        maps_at_peak: full attention maps alive at the peak, in multiples of one map.
    """

    parts: tuple[Part, ...]
    peak: Mapping[str, int]
    figures: Mapping[str, int]
    maps_at_peak: float


def can_predict(case: Case) -> bool:
    """Whether there are closed forms of a case's attention and position."""
    if case.layer.position not in EXTRA_CHANNELS:
        return False
    return case.layer.is_plain or ATTENTIONS.entry(case.attention).cost is not None


def predict_layers(columns: LayerColumns) -> dict[str, Column]:
    """Counts and memory of many cases, by column name; all int64.

    Args:
        columns: possible layers, their forms resolved and with a closed form.

    Returns:
        ``params``, ``macs``, ``flops``, ``flops_forward``, ``macs_forward``,
        ``predicted_peak_bytes``, ``predicted_base_bytes`` and ``saved_bytes``.

    Raises:
        UsageError: a figure that 64 bits do not hold.
    """
    found: dict[str, Column] = {}
    for group in groups_of(columns):
        for name, values in _figures(group).items():
            column = found.setdefault(name, np.zeros(len(columns), np.int64))
            column[group.rows] = values
    return found


def explain(case: Case, device_type: str = "cpu") -> LayerCost:
    """What one case costs and where: its parts, and what is alive at its peak."""
    columns = LayerColumns.from_cases([case], device_type)
    (group,) = groups_of(columns)
    shapes = LayerShapes.of(group.setting, group.layers)
    form = _form_of(group.setting)
    step = LayerStep(group.setting, shapes, form)
    figures = {name: int(values[0]) for name, values in _figures(group).items()}
    return LayerCost(
        parts=tuple(_parts(group.setting, shapes, form, step)),
        peak={kind: int(size[0]) for kind, size in step.memory.peak_by_kind().items() if size[0]},
        figures=figures,
        maps_at_peak=_maps_at_peak(shapes, step),
    )


def _figures(group: Group) -> dict[str, Column]:
    setting = group.setting
    shapes = LayerShapes.of(setting, group.layers)
    form = _form_of(setting)
    macs = _macs_by_part(setting, shapes, form)
    macs_forward = _sum(part.forward for part in macs.values())
    macs_step = _sum(part.step for part in macs.values())
    step = LayerStep(setting, shapes, form)
    saved = _sum(step.saved.values()) if step.saved else np.zeros_like(macs_step)
    return {
        "params": _sum(shapes.parameters),
        "macs": macs_step,
        "flops": 2 * macs_step,
        "flops_forward": 2 * _plain_forward(setting, shapes),
        "macs_forward": macs_forward,
        "predicted_peak_bytes": step.memory.peak,
        "predicted_base_bytes": step.base,
        "saved_bytes": saved,
    }


def _macs_by_part(
    setting: Setting, shapes: LayerShapes, form: AttentionForm | None
) -> dict[str, Macs]:
    """MACs of every part; backward does a convolution's forward work twice more."""
    times = 3 if setting.trains else 1
    macs = {}
    if shapes.convolution is not None:
        macs["conv"] = Macs(shapes.convolution.macs, shapes.convolution.macs * times)
    if form is None or shapes.attention is None or shapes.kqv is None or shapes.mix is None:
        return macs
    macs["kqv"] = Macs(shapes.kqv.macs, shapes.kqv.macs * times)
    macs |= form.macs(shapes.attention)
    macs["mix"] = Macs(shapes.mix.macs, shapes.mix.macs * times)
    return macs


def _plain_forward(setting: Setting, shapes: LayerShapes) -> Column:
    """Forward MACs as the formula has them, whatever the form pads, repeats or skews."""
    total = _sum(
        part.macs for part in (shapes.convolution, shapes.kqv, shapes.mix) if part is not None
    )
    attention = shapes.attention
    if attention is None:
        return total
    total = total + attention.key_macs + attention.value_macs
    return total + row_column_macs(attention).forward if attention.has_tables else total


def _parts(
    setting: Setting, shapes: LayerShapes, form: AttentionForm | None, step: LayerStep
) -> list[Part]:
    macs = _macs_by_part(setting, shapes, form)
    params = {
        "conv": shapes.convolution.weights if shapes.convolution is not None else None,
        "kqv": shapes.kqv.weights if shapes.kqv is not None else None,
        "mix": shapes.mix.weights if shapes.mix is not None else None,
        "position logits": _sum(shapes.tables) if shapes.tables else None,
    }
    names = [name for name in MEANINGS if name in macs or (name == "softmax" and form is not None)]
    return [
        Part(
            name=name,
            params=_one(params.get(name)),
            macs_forward=_one(macs[name].forward) if name in macs else 0,
            macs_step=_one(macs[name].step) if name in macs else 0,
            bytes_saved=_one(step.saved.get(SAVED_KIND.get(name, ""))),
            meaning=MEANINGS[name],
        )
        for name in names
    ]


def _maps_at_peak(shapes: LayerShapes, step: LayerStep) -> float:
    if shapes.attention is None:
        return 0.0
    return float(step.memory.map_bytes_at_peak()[0] / shapes.attention.map_bytes[0])


def _form_of(setting: Setting) -> AttentionForm | None:
    if setting.attention is None:
        return None
    target = ATTENTIONS.entry(setting.attention).cost
    assert target is not None, f"{setting.attention} has no closed form"
    form: AttentionForm = import_attribute(target)
    return form


def _one(column: Any) -> int:
    return 0 if column is None else int(column[0])


def _sum(columns: Any) -> Column:
    total: Column = sum(columns)
    return total
