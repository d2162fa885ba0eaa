"""The subject of a measurement: a case made into a module, its input, and one step of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aabench.cases.case import Case
from aabench.layers.augmented_convolution import AugmentedConv2d

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The data type that a precision gives to weights and inputs; float32 otherwise."""

AUTOCAST = {"amp-bf16": torch.bfloat16, "amp-fp16": torch.float16}

LEARNING_RATE = 1e-3


@dataclass
class Subject:
    """A layer that is ready to run.

    Attributes:
        case: what it is.
        module: the layer, compiled if the case says so.
        layer: the layer itself.
        input: (B, Fin, H, W); needs a gradient unless in ``infer``.
        optimizer: None except in ``train``.
        output_gradient: what backward starts from: random, fixed by the first step, None in ``infer``.
    """

    case: Case
    module: Callable[[Tensor], Tensor]
    layer: AugmentedConv2d
    input: Tensor
    optimizer: torch.optim.Optimizer | None
    output_gradient: Tensor | None = None

    def run(self) -> Tensor:
        """One step of the whole batch; returns the output, detached."""
        with self._gradients(), self._autocast():
            output = self.module(self.input)
        if self.case.mode != "infer":
            if self.output_gradient is None:
                self.output_gradient = torch.randn_like(output)
            output.backward(self.output_gradient)
        if self.optimizer is not None:
            self.optimizer.step()
        return output.detach()

    def reset(self) -> None:
        """Set all gradients to None, as training does between steps."""
        self.input.grad = None
        for parameter in self.layer.parameters():
            parameter.grad = None

    def base_tensors(self) -> Iterator[Tensor]:
        """What is alive before a step: weights, buffers, optimiser state, input, output gradient."""
        yield from self.layer.parameters()
        yield from self.layer.buffers()
        yield self.input
        if self.output_gradient is not None:
            yield self.output_gradient
        if self.optimizer is not None:
            for state in self.optimizer.state.values():
                yield from (value for value in state.values() if isinstance(value, Tensor))

    def _gradients(self) -> AbstractContextManager[object]:
        return torch.inference_mode() if self.case.mode == "infer" else nullcontext()

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = AUTOCAST.get(self.case.precision)
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.input.device.type, dtype=dtype)


def build_subject(case: Case, device: torch.device, seed: int) -> Subject:
    """Make a case ready to run; weights and inputs are random normal and depend on the seed alone.

    Raises:
        UsageError: the layer cannot be built.
        UnsupportedCase: the form refuses it.
    """
    torch.manual_seed(seed)
    layer = build_layer(case, device)
    layer.train(case.mode != "infer")
    dtype, memory_format = dtype_of(case), memory_format_of(case)
    shape = (case.batch, case.layer.in_channels, case.layer.height, case.layer.width)
    x = torch.randn(shape, device=device, dtype=dtype).to(memory_format=memory_format)
    x.requires_grad_(case.mode != "infer")
    module: Callable[[Tensor], Tensor] = layer
    if case.compile:
        torch.compiler.reset()  # so that no earlier case's recompilations count against this one
        module = torch.compile(layer, fullgraph=False, dynamic=False)
    optimizer = _optimizer(case.optimizer, layer) if case.optimizer else None
    return Subject(case, module, layer, x, optimizer)


def build_layer(case: Case, device: torch.device) -> AugmentedConv2d:
    """The layer of a case in its precision and memory format.

    Raises:
        UsageError: no such layer.
    """
    shape = case.layer
    with torch.device(device):
        layer = AugmentedConv2d(
            shape.in_channels,
            shape.out_channels,
            shape.kernel_size,
            dk=shape.dk,
            dv=shape.dv,
            heads=shape.heads,
            stride=shape.stride,
            downsample=shape.downsample,
            position=shape.position,
            attention="auto" if shape.is_plain else case.attention,
            resolution=(shape.height, shape.width),
        )
    return layer.to(dtype_of(case)).to(memory_format=memory_format_of(case))


def dtype_of(case: Case) -> torch.dtype:
    """The data type of weights and inputs."""
    return DTYPES.get(case.precision, torch.float32)


def memory_format_of(case: Case) -> torch.memory_format:
    """The layout of tensors and weights."""
    channels_last = case.memory_format == "channels-last"
    return torch.channels_last if channels_last else torch.contiguous_format


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


def _optimizer(name: str, layer: nn.Module) -> torch.optim.Optimizer:
    parameters = layer.parameters()
    if name == "adam":
        return torch.optim.Adam(parameters, lr=LEARNING_RATE)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=LEARNING_RATE)
    momentum = 0.9 if name == "sgd-momentum" else 0.0
    return torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=momentum)
