"""Plans of what fits: the file that ``augment(model, plan=...)`` follows, and the lines that call it."""

from __future__ import annotations

from aabench.fitting.predictor import Predictor
from aabench.fitting.subject import Subject
from aabench.networks.plan import Plan, PlannedLayer

DEFAULT_FILE = "plan.json"


def plan_of(subject: Subject, predictor: Predictor) -> Plan:
    """The plan that makes a subject's network from the plain one."""
    settings = subject.settings
    layers = tuple(
        PlannedLayer(
            name=found.name,
            in_channels=found.layer.in_channels,
            out_channels=found.layer.out_channels,
            kernel_size=found.layer.kernel_size,
            stride=found.layer.stride,
            dk=found.layer.dk,
            dv=found.layer.dv,
            heads=found.layer.heads,
            position=found.layer.position,
            downsample=found.layer.downsample,
            height=found.layer.height,
            width=found.layer.width,
        )
        for found in predictor.built(subject.source).layers
        if subject.layers is None or found.name in subject.layers
    )
    return Plan(
        network=subject.source.plain_name,
        attention=subject.attention,
        input_size=subject.source.input_size,
        layers=layers,
        checkpointed=settings.checkpointed,
        step={
            "batch": subject.batch,
            "mode": settings.mode,
            "precision": settings.precision,
            "memory_format": settings.memory_format,
            "optimizer": settings.update_rule,
        },
    )


def python_lines(plan: Plan, recipe: str, file: str = DEFAULT_FILE) -> str:
    """Python that builds the network of a plan.

    Args:
        plan: to be followed.
        recipe: the lines that make the plain network.
        file: where the plan is.
    """
    sides = "x".join(map(str, plan.input_size[1:]))
    lines = [
        "import aabench",
        recipe,
        f'aabench.augment(model, plan="{file}")  # {len(plan.layers)} layers, {plan.attention}',
        f"# judged at batch {plan.step['batch']}, {sides}, {plan.step['mode']}, "
        f"{plan.step['precision']}",
    ]
    return "\n".join(lines)
