"""The choice of a case's attention form: ``auto`` made into what the written rule says."""

from __future__ import annotations

from dataclasses import replace

from aabench.cases.case import Case
from aabench.cases.choice import Situation, choose_attention
from aabench.runs.device_facts import DeviceFacts


def resolve_attention(case: Case, facts: DeviceFacts) -> tuple[Case, tuple[str, ...]]:
    """The case with ``auto`` replaced by the form that the written rule chooses, and the reason.

    A network's stays ``auto``: each of its layers chooses for itself when it runs.
    """
    if case.attention != "auto" or case.network is not None:
        return case, ()
    layer = case.layer
    height, width = layer.attention_resolution
    choice = choose_attention(
        Situation(
            device_type=facts.type,
            capability=facts.capability,
            precision=case.precision,
            training=case.mode != "infer",
            tokens=layer.tokens,
            key_depth_per_head=layer.dk // layer.heads,
            value_depth_per_head=layer.dv // layer.heads,
            height=height,
            width=width,
            has_tables=layer.position == "relative",
        )
    )
    return replace(case, attention=choice.name), (f"auto chose {choice.name}: {choice.why}",)
