"""What is taught of a few operations' results against torch's own fake tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from aabench.cost.traced.taught_results import taught_result

aten = torch.ops.aten
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def normalisation(x: Tensor) -> tuple[Any, ...]:
    weight, bias, mean, variance = (torch.empty(x.shape[1], dtype=x.dtype) for _ in range(4))
    return x, weight, bias, mean, variance, True, 0.1, 1e-5


def gradients(x: Tensor) -> tuple[Any, ...]:
    weight, mean, variance, saved, deviation = (torch.empty(x.shape[1]) for _ in range(5))
    wanted = [True, True, True]
    gradient = torch.empty_like(x)
    return gradient, x, weight, mean, variance, saved, deviation, True, 1e-5, wanted


def upsampled(x: Tensor) -> tuple[Any, ...]:
    return x, [2 * x.shape[2] - 1, x.shape[3] + 1], False, None, None


OPERATIONS: dict[Any, Callable[[Tensor], tuple[Any, ...]]] = {
    aten._native_batch_norm_legit.default: normalisation,
    aten.native_batch_norm_backward.default: gradients,
    aten.upsample_bilinear2d.default: upsampled,
}


def layouts(results: Any) -> list[Any]:
    tensors = [results] if isinstance(results, Tensor) else list(results)
    return [
        (tuple(each.shape), each.stride(), each.dtype, each.untyped_storage().nbytes())
        for each in tensors
    ]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
@given(shape=st.tuples(*[st.integers(1, 6)] * 4), layout=st.sampled_from(LAYOUTS))
@settings(deadline=None, max_examples=25)
def test_what_is_taught_is_what_fake_tensors_say(
    operation: Any, shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    with FakeTensorMode():
        arguments = OPERATIONS[operation](torch.empty(shape, memory_format=layout))
        taught = taught_result(operation, arguments)
        if taught is None:
            return  # fake tensors are asked
        asked = operation(*arguments)
    ours = [taught] if hasattr(taught, "strides") else list(taught)
    assert [(tuple(x.shape), tuple(x.strides), x.dtype, x.size) for x in ours] == layouts(asked)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_the_plain_case_is_taught(operation: Any) -> None:
    with FakeTensorMode():
        arguments = OPERATIONS[operation](torch.empty(2, 3, 4, 5))
        assert taught_result(operation, arguments) is not None


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (aten.add.Tensor, lambda: (torch.empty(2), torch.empty(2))),
        (
            aten._native_batch_norm_legit.default,
            lambda: normalisation(torch.empty(2, 3, 4, 5, dtype=torch.bfloat16)),
        ),
        (
            aten._native_batch_norm_legit.default,
            lambda: (*normalisation(torch.empty(2, 3, 4, 5))[:5], False, 0.1, 1e-5),
        ),
        (
            aten.native_batch_norm_backward.default,
            lambda: (torch.empty(2, 3, 5, 4).mT, *gradients(torch.empty(2, 3, 4, 5))[1:]),
        ),
    ],
    ids=["another operation", "half precision", "evaluation", "another layout"],
)
def test_of_other_cases_nothing_is_said(operation: Any, arguments: Any) -> None:
    assert taught_result(operation, arguments()) is None
