"""Prediction of layers: counts and memory of many cases at once, from the closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aabench.cases.catalogue import ATTENTIONS, import_attribute
from aabench.cases.ceilings import Ceilings
from aabench.cost.attention import AttentionForm
from aabench.cost.columns import Column, LayerColumns
from aabench.cost.counts import LayerCounts
from aabench.cost.groups import Group, groups_of
from aabench.cost.layer_step import LayerStep
from aabench.cost.layer_times import TIMES, layer_times
from aabench.cost.overflow import check_figures, check_sizes, suspicious_rows
from aabench.cost.shapes import EXTRA_CHANNELS, LayerShapes
from aabench.cost.timeline import KINDS

UNKNOWN = -1
"""Stands for a figure of a form or position encoding that has no closed form."""

COUNTS = ("params", "macs_forward", "macs", "flops", "flops_forward")

MEMORY = (
    "saved_bytes",
    "predicted_base_bytes",
    "predicted_step_peak_bytes",
    "predicted_peak_bytes",
)

Figures = dict[str, NDArray[Any]]


def predict_layers(
    layers: LayerColumns, *, composition: bool = False, ceilings: Ceilings | None = None
) -> Figures:
    """Counts and peak memory of every case, in the order of the cases; times on request.

    Args:
        layers: possible layers with ``auto`` resolved.
        composition: whether to say what the bytes at the peak are.
        ceilings: what the machine or card cannot exceed, to predict times from.

    Returns:
        By name: ``params``; ``macs_forward`` and ``macs`` (of the whole step), multiply-accumulates
        as the form executes them; ``flops`` = 2 * ``macs``; ``flops_forward``, the same for every
        form; in bytes ``saved_bytes`` (kept from forward for backward, output apart),
        ``predicted_base_bytes``, ``predicted_step_peak_bytes``, and ``predicted_peak_bytes``, their
        sum; ``maps_at_peak``, full attention maps alive at the peak. These are int64 but the last,
        which is float64. With ``composition`` also ``peak_bytes: KIND``, which sum to the peak.
        With ``ceilings`` also the seconds of ``aabench.cost.layer_times.TIMES``, float64.
        ``UNKNOWN`` where a form or position encoding has no closed form.

    Raises:
        UsageError: a case whose figures 64 bits do not hold.

    """
    check_sizes(layers)
    suspicious = suspicious_rows(layers)
    if len(suspicious):
        check_figures(_predicted(layers.take(suspicious).as_floats(), np.float64))
    return _predicted(layers, np.int64, composition, ceilings)


def _predicted(
    layers: LayerColumns,
    dtype: Any,
    composition: bool = False,
    ceilings: Ceilings | None = None,
) -> Figures:
    names = [*COUNTS, *MEMORY, *([f"peak_bytes: {kind}" for kind in KINDS] if composition else [])]
    figures: Figures = {name: np.full(len(layers), UNKNOWN, dtype) for name in names}
    for name in ("maps_at_peak", *(TIMES if ceilings is not None else ())):
        figures[name] = np.full(len(layers), UNKNOWN, np.float64)
    for group in groups_of(layers):
        for name, column in _of_group(group, composition, ceilings).items():
            figures[name][group.rows] = column
    return figures


def _of_group(group: Group, composition: bool, ceilings: Ceilings | None) -> dict[str, Column]:
    setting = group.setting
    if setting.attention is not None and setting.position not in EXTRA_CHANNELS:
        return {}
    shapes = LayerShapes.of(setting, group.layers)
    form = None if setting.attention is None else closed_form(setting.attention)
    counts = LayerCounts.of(setting, shapes, form)
    figures: dict[str, Column] = {
        "params": sum(counts.params.values(), np.zeros_like(shapes.inputs)),
        "flops_forward": 2 * counts.macs_forward,
    }
    if counts.macs is None:
        return figures
    macs = sum((part.step for part in counts.macs.values()), np.zeros_like(shapes.inputs))
    forward = sum((part.forward for part in counts.macs.values()), np.zeros_like(shapes.inputs))
    figures |= {"macs_forward": forward, "macs": macs, "flops": 2 * macs}
    if form is not None and not form.knows_memory(setting.execution.device_type):
        return figures
    step = LayerStep(setting, shapes, form)
    memory = step.memory
    figures |= {
        "saved_bytes": sum((block.size for block in step.saved), np.zeros_like(shapes.inputs)),
        "predicted_base_bytes": step.base,
        "predicted_step_peak_bytes": memory.peak - step.base,
        "predicted_peak_bytes": memory.peak,
        "maps_at_peak": np.zeros(len(group.rows)),
    }
    if shapes.attention is not None:
        figures["maps_at_peak"] = memory.map_bytes_at_peak() / shapes.attention.map_bytes
    if composition:
        figures |= {f"peak_bytes: {kind}": size for kind, size in memory.peak_by_kind().items()}
    if ceilings is not None:
        figures |= layer_times(setting, shapes, counts.macs, step, ceilings)
    return figures


def closed_form(name: str) -> AttentionForm | None:
    """The closed form that the catalogue names for an attention form; None if it names none.

    Raises:
        UsageError: no such form, or its closed form cannot be imported.

    """
    cost = ATTENTIONS.entry(name).cost
    if cost is None:
        return None
    form: AttentionForm = import_attribute(cost)
    return form
