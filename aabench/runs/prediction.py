"""Predicted figures of the cases of a plan, from the closed forms."""

from __future__ import annotations

from typing import Any

from aabench.cases.case import Case
from aabench.cost.columns import LayerColumns
from aabench.cost.layers import UNKNOWN, predict_layers
from aabench.runs.device_facts import DeviceFacts

COUNTS = ("params", "macs", "flops", "flops_forward")
PEAK = "predicted_peak_bytes"


def predicted_figures(cases: dict[str, Case], facts: DeviceFacts) -> dict[str, dict[str, Any]]:
    """Counts and predicted peak by key; what has no closed form is absent.

    Nobody has written a closed form for what torch.compile makes of a layer's memory.

    Args:
        cases: resolved cases by key.
        facts: the device they are predicted for.
    """
    if not cases:
        return {}
    predicted = predict_layers(LayerColumns.from_cases(list(cases.values()), facts.type))
    figures: dict[str, dict[str, Any]] = {}
    for index, (key, case) in enumerate(cases.items()):
        names = COUNTS if case.compile else (*COUNTS, PEAK)
        values = {name: predicted[name][index].item() for name in names}
        figures[key] = {name: value for name, value in values.items() if value != UNKNOWN}
    return figures


def counts_remark(case: Case, figures: dict[str, Any]) -> str | None:
    """What to say where the closed form and torch's own count of a forward pass differ.

    The trace runs on the meta device, so the closed form is asked for that device too: a form that
    pads for a fused CPU kernel does not pad there.
    """
    traced = figures.get("traced_macs")
    if traced is None:
        return None
    columns = LayerColumns.from_cases([case], "meta")
    predicted = predict_layers(columns)["macs_forward"][0].item()
    if predicted in (traced, UNKNOWN):
        return None
    return (
        f"FlopCounterMode counts {traced:,} MACs forward, the closed form {predicted:,} "
        f"({(traced - predicted) / predicted:+.2%})"
    )
