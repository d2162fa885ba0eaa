"""fvcore's count of a network, split into what we count too and what we do not."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    # Its import calls torch.jit.script, which newer versions of torch warn of.
    warnings.simplefilter("ignore", FutureWarning)
    from fvcore.nn import FlopCountAnalysis

PRODUCTS = frozenset({"conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum"})
"""The operators whose count is multiply-accumulates, as ours is."""

ROUNDED = "einsum"
"""The operator whose count fvcore reads from a report that numpy prints with few digits."""

NAMES = {
    "batch_norm": "batch norm",
    "adaptive_avg_pool2d": "pooling",
    "upsample_bilinear2d": "upsampling",
    "upsample_nearest2d": "upsampling",
}
"""What else it counts, in words."""


@dataclass(frozen=True, slots=True)
class FvcoreCount:
    """What fvcore counts; one a multiply-accumulate.

    Attributes:
        by_operator: its count by operator.
    """

    by_operator: Mapping[str, int]

    @property
    def total(self) -> int:
        """The figure that people read off fvcore."""
        return sum(self.by_operator.values())

    @property
    def products(self) -> int:
        """What it counts of convolutions and matrix products."""
        return sum(count for name, count in self.by_operator.items() if name in PRODUCTS)

    @property
    def extras(self) -> dict[str, int]:
        """What it counts of anything else, by name."""
        extras: dict[str, int] = {}
        for operator, count in self.by_operator.items():
            if operator not in PRODUCTS and count:
                name = NAMES.get(operator, operator)
                extras[name] = extras.get(name, 0) + count
        return extras


def fvcore_count(model: nn.Module, image: Tensor) -> FvcoreCount:
    """Trace one forward with fvcore as it comes, without handles of ours.

    Args:
        model: in evaluation mode, on a real device: torch's tracer cannot take meta tensors.
        image: a batch of images there.

    Raises:
        Exception: whatever torch's tracer makes of a forward that it cannot follow.
    """
    analysis = FlopCountAnalysis(model, image)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    with torch.no_grad():
        by_operator = analysis.by_operator()
    return FvcoreCount({name: int(count) for name, count in by_operator.items()})
