"""Run the form `triton` in Triton's interpreter and print, as JSON, how far off each result is.

A process of its own: ``TRITON_INTERPRET`` must be set before the kernels are imported.
"""

import json
import os
from collections.abc import Callable

os.environ["TRITON_INTERPRET"] = "1"

import torch
from form_errors import relative_errors
from random_attention import random_inputs
from torch.utils.checkpoint import checkpoint

from aabench.errors import UnsupportedCase
from aabench.layers import AugmentedConv2d
from aabench.layers.attention.triton import attend

# name: batch, heads, (H, W), dk/Nh, dv/Nh, with tables
SHAPES = {
    "published depths": (1, 2, (5, 7), 20, 2, True),
    "several blocks and patches": (1, 1, (9, 14), 20, 2, True),
    "strips": (1, 1, (4, 36), 8, 4, True),
    "one row": (2, 1, (1, 9), 4, 3, True),
    "one column": (1, 2, (6, 1), 1, 1, True),
    "one pixel": (2, 2, (1, 1), 4, 4, True),
    "more value than key channels": (1, 1, (3, 5), 3, 33, True),
    "no positions": (2, 2, (5, 6), 20, 2, False),
    "no positions, padded keys": (1, 1, (7, 11), 8, 4, False),
}
DTYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16}


def refusals() -> dict[str, str]:
    inputs = random_inputs(1, 1, (2, 2), 4, 4)
    cases = {
        "bfloat16": random_inputs(1, 1, (2, 2), 4, 4, dtype=torch.bfloat16),
        "mixed": inputs._replace(v=inputs.v.float()),
        "integers": inputs._replace(q=inputs.q.int(), k=inputs.k.int(), v=inputs.v.int()),
        "too deep": random_inputs(1, 1, (1, 1), 300, 4),
    }
    found = {}
    for name, case in cases.items():
        try:
            attend(*case)
        except UnsupportedCase as refusal:
            found[name] = str(refusal)
    return found


def double_backward() -> str:
    inputs = random_inputs(1, 1, (2, 2), 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(attend(*inputs).sum(), inputs.v, create_graph=True)
    try:
        gradient.sum().backward()
    except UnsupportedCase as refusal:
        return str(refusal)
    return "went through"


def under_compile() -> float:
    inputs = random_inputs(1, 2, (3, 4), 4, 4)
    compiled = torch.compile(lambda *args: attend(*args) * 2, backend="eager")
    return (compiled(*inputs) - 2 * attend(*inputs)).abs().max().item()


def layer_differences() -> dict[str, float]:
    """A layer of this form against the same one of the form `broadcast`, output and gradients."""
    options = {"dk": 8, "dv": 4, "heads": 2, "resolution": (5, 4)}
    expected = AugmentedConv2d(6, 12, 3, attention="broadcast", **options)
    fused = AugmentedConv2d(6, 12, 3, attention=f"{attend.__module__}:attend", **options)
    fused.load_state_dict(expected.state_dict())
    image = torch.randn(2, 6, 5, 4)
    ways = {
        "plain": lambda layer, x: layer(x),
        "channels last": lambda layer, x: layer(x.contiguous(memory_format=torch.channels_last)),
        "checkpointed": lambda layer, x: checkpoint(layer, x, use_reentrant=False),
        "autocast": under_autocast,
    }
    return {
        name: largest_difference(*(results(layer, image, way) for layer in (fused, expected)))
        for name, way in ways.items()
    }


def under_autocast(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.float16):
        return layer(x)


def results(layer: torch.nn.Module, image: torch.Tensor, way: Callable) -> list[torch.Tensor]:
    x = image.clone().requires_grad_()
    y = way(layer, x)
    return [y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]


def largest_difference(actual: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    return max(
        ((a.double() - e.double()).abs().max() / e.double().abs().max()).item()
        for a, e in zip(actual, expected, strict=True)
    )


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    errors = {
        f"{dtype_name}, {shape_name}": relative_errors(
            attend, random_inputs(*shape, tables=tables, dtype=dtype, requires_grad=True)
        )
        for dtype_name, dtype in DTYPES.items()
        for shape_name, (*shape, tables) in SHAPES.items()
    }
    print(
        json.dumps(
            {
                "errors": errors,
                "refusals": refusals(),
                "double backward": double_backward(),
                "compiled": under_compile(),
                "layer": layer_differences(),
            }
        )
    )


if __name__ == "__main__":
    main()
