"""Predicted figures of the cases of a plan, from the closed forms."""

from __future__ import annotations

from typing import Any

from aabench.cases.case import Case
from aabench.cost.columns import LayerColumns
from aabench.cost.layers import can_predict, explain, predict_layers
from aabench.runs.device_facts import DeviceFacts

STORED = ("params", "macs", "flops", "flops_forward", "predicted_peak_bytes")
"""What becomes columns of the results."""


def predicted_figures(cases: dict[str, Case], facts: DeviceFacts) -> dict[str, dict[str, Any]]:
    """Counts and predicted peak by key; forms without a closed form have none.

    What torch.compile makes of a layer's memory nobody has written a closed form for.

    Args:
        cases: resolved cases by key.
        facts: the device they are predicted for.
    """
    known = {key: case for key, case in cases.items() if can_predict(case)}
    if not known:
        return {}
    predicted = predict_layers(LayerColumns.from_cases(list(known.values()), facts.type))
    figures = {}
    for index, (key, case) in enumerate(known.items()):
        names = STORED[:-1] if case.compile else STORED
        figures[key] = {name: predicted[name][index].item() for name in names}
    return figures


def counts_remark(case: Case, figures: dict[str, Any]) -> str | None:
    """What to say where the closed form and torch's own count of a forward pass differ.

    The trace runs on the meta device, so the closed form is asked for that device too: a form that
    pads for a fused CPU kernel does not pad there.
    """
    traced = figures.get("traced_macs")
    if traced is None or not can_predict(case):
        return None
    predicted = explain(case, "meta").figures["macs_forward"]
    if traced == predicted:
        return None
    return (
        f"FlopCounterMode counts {traced:,} MACs forward, the closed form {predicted:,} "
        f"({(traced - predicted) / predicted:+.2%})"
    )
