"""The times of layers: their products and their traffic under a roofline, for many cases at once.

Products are counted by the closed forms. Traffic is read off the same timeline as memory: a block
that a step allocates is written once and read once. What products read and write of that belongs to
them, and hides behind their arithmetic where that takes longer; the rest is moved between them, by
softmax, additions, copies and the like. What a form writes into a buffer again and again it tells itself.
"""

from __future__ import annotations

import numpy as np

from aabench.cases.ceilings import Ceilings
from aabench.cost.attention import Macs
from aabench.cost.columns import Column
from aabench.cost.convolution import Convolution
from aabench.cost.counts import CONVOLUTION, KQV, LOGITS, MIX, POSITION_LOGITS, VALUES
from aabench.cost.groups import Setting
from aabench.cost.layer_step import LayerStep
from aabench.cost.roofline import roofs
from aabench.cost.shapes import LayerShapes

TIMES = ("roofline_compute_s", "roofline_memory_s", "roofline_launch_s")
"""Seconds in compute-bound operations, in memory-bound ones, and in launching; they sum to the step's."""

PASSES = 3
"""A product with a backward pass is as good as three: forward, and the gradients of both operands."""


def layer_times(
    setting: Setting,
    shapes: LayerShapes,
    macs: dict[str, Macs],
    step: LayerStep,
    ceilings: Ceilings,
) -> dict[str, Column]:
    """Seconds by kind, as ``TIMES`` names them; nothing where the precision has no known rate."""
    rate = ceilings.rate(setting.execution.precision)
    if rate is None:
        return {}
    bandwidth = ceilings.bandwidth_bytes_per_s
    moved = 2.0 * step.memory.bytes_since(step.begin)
    compute_s, memory_s = np.zeros_like(moved), np.zeros_like(moved)
    for work, traffic in _products(setting, shapes, macs, step.memory.has_maps):
        computing, moving = roofs(2 * work, traffic, rate, bandwidth)
        compute_s += computing
        memory_s += moving
        moved -= traffic
    memory_s += np.maximum(moved, 0) / bandwidth
    launch_s = step.memory.launches_since(step.begin) * ceilings.launch_s
    return dict(zip(TIMES, (compute_s, memory_s, launch_s), strict=True))


def _products(
    setting: Setting, shapes: LayerShapes, macs: dict[str, Macs], has_maps: bool
) -> list[tuple[Column, Column]]:
    """Multiply-accumulates and traffic of each product of the step."""
    passes = PASSES if setting.trains else 1
    item = setting.execution.computed
    convolutions = {CONVOLUTION: shapes.convolution, KQV: shapes.kqv, MIX: shapes.mix}
    products = [
        (macs[name].step, passes * item * _elements(convolution))
        for name, convolution in convolutions.items()
        if convolution is not None
    ]
    attention = shapes.attention
    if attention is None:
        return products
    maps = attention.map_bytes if has_maps else 0
    logits = macs[LOGITS].step
    if POSITION_LOGITS in macs:
        logits = logits + macs[POSITION_LOGITS].step
    products.append((logits, passes * (2 * attention.key_bytes + maps)))
    products.append((macs[VALUES].step, passes * (2 * attention.value_bytes + maps)))
    return products


def _elements(convolution: Convolution) -> Column:
    """Of a convolution's input, weight and output: each pass reads two of them and writes the third."""
    return convolution.inputs + convolution.weights + convolution.outputs
