"""The counts: parameters and multiply-accumulates of a layer, part by part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aabench.cost.attention import AttentionForm, Macs
from aabench.cost.columns import Column
from aabench.cost.groups import Setting
from aabench.cost.shapes import LayerShapes

CONVOLUTION = "convolution"
KQV = "kqv"
LOGITS = "logits"
POSITION_LOGITS = "position logits"
SOFTMAX = "softmax"
VALUES = "values"
MIX = "mix"

PARTS = {
    CONVOLUTION: "the k x k convolution beside the attention",
    KQV: "the 1x1 convolution to keys, queries and values",
    LOGITS: "queries times keys",
    POSITION_LOGITS: "queries times the relative position tables",
    SOFTMAX: "logits to weights",
    VALUES: "weights times values",
    MIX: "the 1x1 convolution over the merged heads",
}
"""Every part that has parameters, multiply-accumulates or saved bytes, and what it does."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerCounts:
    """What is counted of the layers of a group.

    Attributes:
        params: parameters by part.
        macs: multiply-accumulates by part, as the form executes them; None without a closed form.
        macs_forward: of a forward pass, the same for every form: positions by Toeplitz tables,
            nothing padded or computed twice.

    """

    params: dict[str, Column]
    macs: dict[str, Macs] | None
    macs_forward: Column

    @classmethod
    def of(cls, setting: Setting, shapes: LayerShapes, form: AttentionForm | None) -> LayerCounts:
        """Count the layers of a group; form is None without attention or without a closed form."""
        convolutions = {CONVOLUTION: shapes.convolution, KQV: shapes.kqv, MIX: shapes.mix}
        params = {name: part.weights for name, part in convolutions.items() if part is not None}
        if shapes.tables:
            params[POSITION_LOGITS] = sum(shapes.tables, start=np.zeros_like(shapes.inputs))
        # Each convolution's input and weight both get a gradient.
        times = 3 if setting.trains else 1
        of_convolutions = {
            name: Macs(part.macs, part.macs * times)
            for name, part in convolutions.items()
            if part is not None
        }
        macs: dict[str, Macs] | None = of_convolutions
        forward = sum(
            (part.forward for part in of_convolutions.values()), np.zeros_like(shapes.inputs)
        )
        if shapes.attention is not None:
            macs = None
            if form is not None:
                macs = of_convolutions | form.macs(shapes.attention)
            forward = forward + shapes.attention.least_macs
        return cls(params, macs, forward)
