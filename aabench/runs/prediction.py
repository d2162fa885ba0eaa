"""Predicted figures of cases from the closed forms, and how they stand beside what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aabench.cases.case import AUGMENTED, Case, Layer
from aabench.cost.columns import Labels, LayerColumns
from aabench.cost.layers import UNKNOWN, predict_layers
from aabench.cost.prediction import LABELLED, LATENCY, MEMORY, NO_CLOSED_FORM
from aabench.cost.target import Target

Figures = dict[str, Any]

PEAK = "predicted_peak_bytes"

COUNTS = ("params", "macs", "flops", "flops_forward")


def predicted_row(case: Case, figures: Figures, target: Target) -> Figures:
    """A case as a row of results that nothing was measured of."""
    is_known = PEAK in figures or case.compile
    return {
        "status": "predicted",
        "reason": None if is_known else NO_CLOSED_FORM,
        **figures,
        "device": target.label,
        "warnings": [],
        "sample_warnings": [],
    }


def has_closed_form(case: Case) -> bool:
    """Whether the closed forms know the kind of thing that this case is."""
    return isinstance(case.subject, Layer) and case.subject.kind == AUGMENTED


def closed_form_figures(cases: Mapping[str, Case], target: Target) -> dict[str, Figures]:
    """The predicted columns of those cases that are augmented convolutions, by key.

    Nobody has written a closed form for what torch.compile makes of a layer's memory.
    """
    cases = {key: case for key, case in cases.items() if has_closed_form(case)}
    if not cases:
        return {}
    layers = LayerColumns.from_cases(
        list(cases.values()), target.device_type, target.threads, target.capability
    )
    predicted = predict_layers(layers, ceilings=target.bands.ceilings)
    predicted |= target.bands.apply(predicted, layers)
    names = [name for name in (*COUNTS, *MEMORY, *LATENCY, *LABELLED) if name in predicted]
    figures: dict[str, Figures] = {}
    for row, (key, case) in enumerate(cases.items()):
        values = {name: _value(predicted[name], row) for name in names}
        figures[key] = {
            name: value
            for name, value in values.items()
            if value not in (UNKNOWN, "") and (name in COUNTS or not case.compile)
        }
    return figures


def _value(column: Any, row: int) -> Any:
    return column.at(row) if isinstance(column, Labels) else column[row].item()


def counts_remark(case: Case, figures: dict[str, Any]) -> str | None:
    """What to say where the closed form and torch's own count of a forward pass differ.

    The trace runs on the meta device, so the closed form is asked for that device too: a form that
    pads for a fused CPU kernel does not pad there.
    """
    traced = figures.get("traced_macs")
    if traced is None or not has_closed_form(case):
        return None
    columns = LayerColumns.from_cases([case], "meta")
    predicted = predict_layers(columns)["macs_forward"][0].item()
    if predicted in (traced, UNKNOWN):
        return None
    return (
        f"FlopCounterMode counts {traced:,} MACs forward, the closed form {predicted:,} "
        f"({(traced - predicted) / predicted:+.2%})"
    )
