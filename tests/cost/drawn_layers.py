"""Random layer cases for the tests of prediction: every axis that decides how a step runs."""

from __future__ import annotations

import random
from dataclasses import replace

from aabench.cases.case import Case, Layer
from aabench.cases.catalogue import ATTENTIONS
from aabench.cases.validity import layer_problem

FORMS = tuple(name for name in ATTENTIONS.names() if name not in {"flex", "triton"})
"""The attention forms that run everywhere, on the CPU and on the meta device."""

SIDES = (5, 7, 8, 10, 14, 16, 20)


def draw_layer(rng: random.Random) -> Layer:
    """A possible layer."""
    while True:
        heads = rng.choice((1, 2, 4, 8))
        layer = Layer(
            in_channels=rng.choice((3, 16, 20, 64, 128)),
            out_channels=rng.choice((24, 32, 64, 96, 128)),
            kernel_size=rng.choice((1, 3, 3, 5)),
            stride=rng.choice((1, 1, 1, 2)),
            downsample=rng.choice((1, 1, 1, 2)),
            heads=heads,
            dk=heads * rng.choice((1, 4, 8, 20)),
            dv=heads * rng.choice((1, 2, 4, 8)),
            position=rng.choice(("relative", "relative", "none", "sine", "coordconv")),
            height=rng.choice(SIDES),
            width=rng.choice(SIDES),
        )
        if rng.random() < 0.05:
            layer = replace(layer, dv=0)
        if rng.random() < 0.05:
            layer = replace(layer, out_channels=max(1, layer.dv))
        if layer_problem(layer) is None:
            return layer


def draw_case(
    rng: random.Random,
    *,
    forms: tuple[str, ...] = FORMS,
    modes: tuple[str, ...] = ("infer", "forward-backward", "train"),
    precisions: tuple[str, ...] = ("fp32",),
) -> Case:
    """A case of a drawn layer."""
    return Case(
        draw_layer(rng),
        batch=rng.choice((1, 2, 3, 8)),
        mode=rng.choice(modes),
        precision=rng.choice(precisions),
        attention=rng.choice(forms),
        optimizer=rng.choice(("sgd", "sgd-momentum", "adam", "adamw")),
    ).canonical()
