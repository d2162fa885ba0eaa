"""The fake model: a copy of any module whose tensors have sizes and layouts, but no memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aabench.cost.traced.step_settings import StepSettings
from aabench.errors import UsageError

Model = TypeVar("Model", bound=nn.Module)


def fake_copy(model: Model, mode: TorchDispatchMode, settings: StepSettings) -> Model:
    """A copy of a model with tensors without memory, in the precision and layout of the settings.

    The model may be on any device, ``meta`` included; it is neither changed nor run, and none of its
    tensors is copied. Fake tensors are the CPU's, because autograd takes no fake CUDA ones without a
    card.

    Args:
        model: any module that ``copy.deepcopy`` takes.
        mode: in which new tensors are without memory: torch's ``FakeTensorMode`` or ``StandInMode``.
        settings: precision and memory format are those that ``Module.to`` would be asked for.

    Raises:
        UsageError: the model cannot be copied.
    """
    twins: dict[int, object] = {}
    with mode:
        for tensor in _tensors(model):
            if id(tensor) not in twins:
                twins[id(tensor)] = _twin(tensor, settings)
    try:
        # deepcopy takes what its memo already holds instead of copying it.
        return copy.deepcopy(model, twins)
    except Exception as error:  # a user's module may object to copying in any way
        raise UsageError(
            f"the model cannot be copied to trace it: {type(error).__name__}: {error}",
            got=type(model).__name__,
            instead="make it a model that copy.deepcopy takes, or measure it instead",
        ) from error


def _twin(tensor: Tensor, settings: StepSettings) -> Tensor:
    dtype = settings.dtype if tensor.is_floating_point() else tensor.dtype
    if tensor.dim() == 4:
        twin = torch.empty(tensor.shape, dtype=dtype, memory_format=settings.layout)
    else:
        twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and tensors that are plain attributes of a module."""
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))
