"""The explanation of one layer on a target: its parts, its peak, and its figures with their bands."""

from __future__ import annotations

from dataclasses import replace

from aabench.cases.case import Case
from aabench.cost.explain import LayerCost, explain
from aabench.cost.target import Target
from aabench.runs.prediction import closed_form_figures, has_closed_form


def explain_layer(case: Case, target: Target) -> LayerCost:
    """What one layer costs on a device; one without closed forms is traced, and has no parts.

    Args:
        case: of a layer, its form resolved.
        target: the device.

    Raises:
        UsageError: it can be neither computed nor traced.
        UnsupportedCase: the form refuses it.
    """
    if has_closed_form(case):
        cost = explain(case, target.device_type, target.threads, target.capability)
        return replace(
            cost, figures={**cost.figures, **closed_form_figures({"": case}, target)[""]}
        )
    from aabench.runs.traced_prediction import traced_figures, traced_step

    step = traced_step(case, target)
    peak = {name: size for name, size in step.at_peak.items() if size}
    return LayerCost(case, (), peak, traced_figures(step, case, target))
