"""The network step: one step of a network, on real tensors and on fake ones alike.

This is a definition and no figure: what is predicted and what is measured run the same step, and
share nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aabench.cost.traced.step_settings import StepSettings
from aabench.errors import UsageError

LEARNING_RATE = 1e-3

_OPTIMIZERS: dict[str, Any] = {
    "sgd-momentum": partial(torch.optim.SGD, momentum=0.9),
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@dataclass
class NetworkStep:
    """A network that is ready to run; its input needs no gradient.

    Attributes:
        model: the network, in the settings' precision and layout; put into the mode's train or eval.
        input: (B, C, H, W).
        settings: what the step is.
        optimizer: None except in ``train``.
        target: class indices (B,), made by the first loss; None where the output is not (B, classes).
    """

    model: nn.Module
    input: Tensor
    settings: StepSettings
    optimizer: torch.optim.Optimizer | None = None
    target: Tensor | None = None

    def __post_init__(self) -> None:
        self.model.train(self.settings.trains)
        rule = self.settings.update_rule
        if rule is not None:
            # Elsewhere than on the CPU torch updates all parameters together.
            together = True if self.settings.device_type == "cuda" else None
            make = _OPTIMIZERS[rule]
            self.optimizer = make(self.model.parameters(), lr=LEARNING_RATE, foreach=together)

    def run(self) -> None:
        """One step of the whole batch."""
        loss = self.forward()
        if loss is not None:
            loss.backward()
        self.update()

    def forward(self) -> Tensor | None:
        """The forward pass with the loss; None in ``infer``, where there is none.

        The loss is cross-entropy where the output is (B, classes), else the sum over all raw
        outputs of the mean of their squares.

        Raises:
            UsageError: the output holds no tensor that a gradient could reach.
        """
        if not self.settings.trains:
            with torch.inference_mode(), self._autocast():
                self.model(self.input)
            return None
        with self._autocast():
            return self._loss(self.model(self.input))

    def update(self) -> None:
        """The optimiser's part, if there is one."""
        if self.optimizer is not None:
            self.optimizer.step()

    def reset(self) -> None:
        """Set all gradients to None, as training does between steps."""
        for parameter in self.model.parameters():
            parameter.grad = None

    def base_tensors(self) -> Iterator[Tensor]:
        """What is alive before a step: weights, buffers, optimiser state, input and target."""
        yield from self.model.parameters()
        yield from self.model.buffers()
        yield self.input
        if self.target is not None:
            yield self.target
        for _, tensor in self.state_tensors():
            yield tensor

    def state_tensors(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each tensor of the optimiser's state, after the parameter that it is of."""
        if self.optimizer is None:
            return
        for parameter, state in self.optimizer.state.items():
            for value in state.values():
                if isinstance(value, Tensor):
                    yield parameter, value

    def _loss(self, output: Any) -> Tensor:
        if isinstance(output, Tensor) and output.dim() == 2:
            if self.target is None:
                self.target = self.make_target(output)
            return F.cross_entropy(output, self.target)
        squares = [part.square().mean() for part in tensors_in(output) if part.requires_grad]
        if not squares:
            raise UsageError(
                "the model's output holds no tensor with a gradient, so it cannot be trained",
                got=type(output).__name__,
                instead="take the mode infer",
            )
        return torch.stack(squares).sum()

    def make_target(self, output: Tensor) -> Tensor:
        """The first class for every image."""
        return torch.zeros(len(output), dtype=torch.int64, device=output.device)

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = self.settings.autocast_dtype
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.input.device.type, dtype=dtype)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and mappings, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)
