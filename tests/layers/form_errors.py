"""How far a form's output and gradients are from the reference, in units of the data type's epsilon."""

from collections.abc import Callable

import torch
from torch import Tensor

from aabench.layers.attention_inputs import AttentionInputs
from aabench.layers.reference import reference_rows


def relative_errors(
    attend: Callable[..., Tensor], inputs: AttentionInputs, *, transposed: bool = False
) -> dict[str, float]:
    """The largest error of the output and of each gradient, in epsilons of q's data type.

    Relative to the largest value expected, or to 1, the size of the inputs, where that is more: the
    gradient of a one-row table is zero.
    """
    leaves = {"q": inputs.q, "k": inputs.k, "v": inputs.v}
    if inputs.tables is not None:
        leaves |= {"height": inputs.tables[0], "width": inputs.tables[1]}
    actual = attend(*inputs)
    expected = reference_rows(*inputs)
    start = torch.randn(expected.shape, dtype=torch.float64).to(expected.device).to(actual.dtype)
    if transposed:
        start = start.mT.contiguous().mT
    results = {"output": (actual, expected)}
    gradients = zip(
        torch.autograd.grad(actual, list(leaves.values()), start),
        torch.autograd.grad(expected, list(leaves.values()), start.double()),
        strict=True,
    )
    results |= dict(zip(leaves, gradients, strict=True))
    return {name: _error(*pair) for name, pair in results.items()}


def _error(actual: Tensor, expected: Tensor) -> float:
    scale = max(1.0, expected.abs().max().item())
    error = (actual.double() - expected.double()).abs().max().item()
    return error / scale / torch.finfo(actual.dtype).eps
