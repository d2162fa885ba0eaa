"""Predicted figures of the cases of a plan, from the closed forms."""

from __future__ import annotations

from typing import Any

from aabench.cases.case import Case
from aabench.runs.device_facts import DeviceFacts


def predicted_figures(cases: dict[str, Case], facts: DeviceFacts) -> dict[str, dict[str, Any]]:
    """Counts and predicted peak by key; forms without a closed form have none.

    Args:
        cases: resolved cases by key.
        facts: the device they are predicted for.
    """
    from aabench.cost.columns import LayerColumns
    from aabench.cost.layers import predict_layers

    columns = LayerColumns.from_cases(list(cases.values()), facts.type)
    predicted = predict_layers(columns)
    return {
        key: {name: values[index].item() for name, values in predicted.items()}
        for index, key in enumerate(cases)
    }
