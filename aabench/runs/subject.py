"""The subject of a measurement: a case made into a module, its input, and one step of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aabench.cases.case import Case
from aabench.cost.traced.objective import FixedGradient, NetworkLoss, Objective
from aabench.runs.model import AUTOCAST, build_model, dtype_of, input_shape, memory_format_of

LEARNING_RATE = 1e-3


@dataclass
class Subject:
    """A layer or network that is ready to run.

    Attributes:
        case: what it is.
        module: the model, compiled if the case says so.
        model: the model itself.
        input: (B, C, H, W); a layer's needs a gradient unless in ``infer``.
        objective: what backward starts from; not asked in ``infer``.
        optimizer: None except in ``train``.
    """

    case: Case
    module: Callable[[Tensor], Any]
    model: nn.Module
    input: Tensor
    objective: Objective
    optimizer: torch.optim.Optimizer | None

    def run(self) -> object:
        """One step of the whole batch; returns what the model returned."""
        if self.case.mode == "infer":
            with torch.inference_mode(), self._autocast():
                return self.module(self.input)
        with self._autocast():
            output = self.module(self.input)
            start, gradient = self.objective.start(output)
        start.backward(gradient)
        if self.optimizer is not None:
            self.optimizer.step()
        return output

    def reset(self) -> None:
        """Set all gradients to None, as training does between steps."""
        self.input.grad = None
        for parameter in self.model.parameters():
            parameter.grad = None

    def base_tensors(self) -> Iterator[Tensor]:
        """What is alive before a step: weights, buffers, optimiser state, input, the objective's."""
        yield from self.model.parameters()
        yield from self.model.buffers()
        yield self.input
        yield from self.objective.tensors()
        if self.optimizer is not None:
            for state in self.optimizer.state.values():
                yield from (value for value in state.values() if isinstance(value, Tensor))

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = AUTOCAST.get(self.case.precision)
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.input.device.type, dtype=dtype)


def build_subject(case: Case, device: torch.device, seed: int) -> Subject:
    """Make a case ready to run; weights and inputs are random normal and depend on the seed alone.

    Raises:
        UsageError: the layer or network cannot be built.
        UnsupportedCase: the form refuses it.
    """
    torch.manual_seed(seed)
    model = build_model(case, device)
    model.train(case.mode != "infer")
    dtype, memory_format = dtype_of(case), memory_format_of(case)
    x = torch.randn(input_shape(case), device=device, dtype=dtype).to(memory_format=memory_format)
    of_layer = case.network is None
    x.requires_grad_(of_layer and case.mode != "infer")
    module: Callable[[Tensor], Any] = model
    if case.compile:
        torch.compiler.reset()  # so that no earlier case's recompilations count against this one
        module = torch.compile(model, fullgraph=False, dynamic=False)
    optimizer = _optimizer(case.optimizer, model) if case.optimizer else None
    objective = FixedGradient() if of_layer else NetworkLoss()
    return Subject(case, module, model, x, objective, optimizer)


@contextmanager
def numeric_flags(case: Case) -> Iterator[None]:
    """Allow TF32 in ``tf32`` and nowhere else; everything is put back afterwards."""
    wanted = "tf32" if case.precision == "tf32" else "ieee"
    backends: Any = torch.backends  # typed in part only
    products, convolutions = backends.cuda.matmul, backends.cudnn.conv
    before = products.fp32_precision, convolutions.fp32_precision
    products.fp32_precision = convolutions.fp32_precision = wanted
    try:
        yield
    finally:
        products.fp32_precision, convolutions.fp32_precision = before


def _optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    parameters = model.parameters()
    if name == "adam":
        return torch.optim.Adam(parameters, lr=LEARNING_RATE)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=LEARNING_RATE)
    momentum = 0.9 if name == "sgd-momentum" else 0.0
    return torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=momentum)
