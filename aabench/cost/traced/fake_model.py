"""The fake model: a copy of any module whose tensors have sizes and layouts, but no memory."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aabench.cost.traced.step_settings import StepSettings
from aabench.modules.twin import twin

Model = TypeVar("Model", bound=nn.Module)


def fake_copy(model: Model, mode: TorchDispatchMode, settings: StepSettings) -> Model:
    """A copy of a model with tensors without memory, in the precision and layout of the settings.

    The model may be on any device, ``meta`` included; it is neither changed nor run. Tensors of the
    copy are the CPU's, because autograd takes no fake CUDA ones without a card.

    Args:
        model: any module that ``copy.deepcopy`` takes.
        mode: in which new tensors are without memory: torch's ``FakeTensorMode`` or ``StandInMode``.
        settings: precision and memory format are those that ``Module.to`` would be asked for.

    Raises:
        UsageError: the model cannot be copied.
    """
    converted = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}

    def make(tensor: Tensor) -> Tensor:
        is_converted = id(tensor) in converted
        dtype = settings.dtype if is_converted and tensor.is_floating_point() else tensor.dtype
        if is_converted and tensor.dim() == 4:
            return torch.empty(tensor.shape, dtype=dtype, memory_format=settings.layout)
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype)

    return twin(model, make, mode)
