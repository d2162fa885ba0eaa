"""The fake model: a copy of any module whose tensors have sizes and layouts, but no memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from aabench.cost.traced.step_settings import StepSettings
from aabench.errors import UsageError

Model = TypeVar("Model", bound=nn.Module)


def fake_copy(
    model: Model, mode: FakeTensorMode | None, settings: StepSettings, device: str = "cpu"
) -> Model:
    """A copy of a model with tensors without memory, in the precision and layout of the settings.

    The model may be on any device, ``meta`` included; it is neither changed nor run, and none of its
    tensors is copied. Fake tensors are the CPU's, because autograd takes no fake CUDA ones without a
    card.

    Args:
        model: any module that ``copy.deepcopy`` takes.
        mode: to which fake tensors of the copy belong; None for tensors of the meta device.
        settings: precision and memory format are those that ``Module.to`` would be asked for.
        device: of the tensors.

    Raises:
        UsageError: the model cannot be copied.
    """
    twins: dict[int, object] = {}
    with mode or nullcontext():
        for tensor in _tensors(model):
            if id(tensor) not in twins:
                twins[id(tensor)] = _twin(tensor, settings, device)
    try:
        # deepcopy takes what its memo already holds instead of copying it.
        return copy.deepcopy(model, twins)
    except Exception as error:  # a user's module may object to copying in any way
        raise UsageError(
            f"the model cannot be copied to trace it: {type(error).__name__}: {error}",
            got=type(model).__name__,
            instead="make it a model that copy.deepcopy takes, or measure it instead",
        ) from error


def _twin(tensor: Tensor, settings: StepSettings, device: str) -> Tensor:
    dtype = settings.dtype if tensor.is_floating_point() else tensor.dtype
    if tensor.dim() == 4:
        twin = torch.empty(tensor.shape, dtype=dtype, device=device, memory_format=settings.layout)
    else:
        twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype, device=device)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and tensors that are plain attributes of a module."""
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))
