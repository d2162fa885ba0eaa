"""Which layers are possible: one table of rules, for a single layer and for columns of layers alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aabench.cases.case import AUGMENTED, BOTTLENECK, LOCAL, Layer


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason why a combination of axis values is not a layer.

    Attributes:
        broken: true where the rule is broken. It takes a ``Layer``, whose fields are numbers, or
            anything with those fields as numpy columns, and so uses only what both understand:
            arithmetic, comparison, ``&`` and ``|``. ``heads`` and the sizes are at least 1.
        sentence: what a layer that breaks it is told, with the values got and allowed.
    """

    broken: Callable[[Any], Any]
    sentence: Callable[[Layer], str]


RULES: tuple[Rule, ...] = (
    Rule(
        lambda layer: layer.kernel_size % 2 == 0,
        lambda layer: (
            f"kernel size {layer.kernel_size} is even; allowed: odd sizes, which keep the resolution"
        ),
    ),
    Rule(
        lambda layer: layer.dv > layer.out_channels,
        lambda layer: (
            f"dv = {layer.dv} exceeds the {layer.out_channels} output channels; "
            f"allowed: 0 to {layer.out_channels}"
        ),
    ),
    Rule(
        lambda layer: layer.dv % layer.heads != 0,
        lambda layer: (
            f"{layer.heads} heads do not divide dv = {layer.dv}; "
            f"allowed: {_multiples(layer.dv, layer.heads, layer.out_channels)}"
        ),
    ),
    Rule(
        lambda layer: (layer.dv > 0) & (layer.dk < 1),
        lambda layer: (
            f"dk = {layer.dk} leaves no key channel for {layer.heads} heads; "
            f"allowed: a multiple of {layer.heads}"
        ),
    ),
    Rule(
        lambda layer: (layer.dv > 0) & (layer.dk % layer.heads != 0),
        lambda layer: (
            f"{layer.heads} heads do not divide dk = {layer.dk}; "
            f"allowed: {_multiples(layer.dk, layer.heads, None)}"
        ),
    ),
)
"""In the order of their weight: a layer is told of the first one that it breaks."""


RULES_OF_KIND: dict[str, tuple[Rule, ...]] = {
    AUGMENTED: RULES,
    LOCAL: (
        RULES[0],
        Rule(
            lambda layer: layer.out_channels % (2 * layer.heads) != 0,
            lambda layer: (
                f"{layer.heads} heads do not divide {layer.out_channels} channels into halves for "
                f"rows and columns; allowed: multiples of {2 * layer.heads} channels"
            ),
        ),
    ),
    BOTTLENECK: (
        Rule(
            lambda layer: layer.out_channels % layer.heads != 0,
            lambda layer: (
                f"{layer.heads} heads do not divide {layer.out_channels} channels; "
                f"allowed: multiples of {layer.heads} channels"
            ),
        ),
    ),
}
"""What holds for each kind of layer."""


def layer_problem(layer: Layer) -> str | None:
    """Why this layer cannot exist, as one sentence with the values got and allowed; None if it can."""
    return next(
        (rule.sentence(layer) for rule in RULES_OF_KIND[layer.kind] if rule.broken(layer)), None
    )


def _multiples(depth: int, heads: int, ceiling: int | None) -> str:
    """The multiples of the heads next to a depth that they do not divide."""
    below, above = depth // heads * heads, (depth // heads + 1) * heads
    near = [
        str(value) for value in (below, above) if value and (ceiling is None or value <= ceiling)
    ]
    return " or ".join(near) if near else f"multiples of {heads}"
