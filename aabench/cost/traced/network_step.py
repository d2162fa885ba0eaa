"""The network step: one step of a network or layer, on real tensors and on fake ones alike.

This is a definition and no figure: what is predicted and what is measured run the same step, and
share nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from aabench.cost.traced.objective import FixedGradient, Maker, NetworkLoss, Objective, Start
from aabench.cost.traced.step_settings import StepSettings

LEARNING_RATE = 1e-3

_OPTIMIZERS: dict[str, Any] = {
    "sgd-momentum": partial(torch.optim.SGD, momentum=0.9),
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@dataclass
class NetworkStep:
    """A network or layer that is ready to run; a layer's input needs a gradient.

    Attributes:
        model: the network, in the settings' precision and layout; put into the mode's train or eval.
        input: (B, C, H, W).
        settings: what the step is.
        optimizer: None except in ``train``.
        objective: what the backward pass starts from.
    """

    model: nn.Module
    input: Tensor
    settings: StepSettings
    optimizer: torch.optim.Optimizer | None = None
    objective: Objective = field(init=False)

    def __post_init__(self) -> None:
        of_layer, trains = self.settings.of_layer, self.settings.trains
        self.objective = (FixedGradient if of_layer else NetworkLoss)(self.keep)
        self.model.train(trains)
        self.input.requires_grad_(of_layer and trains)
        rule = self.settings.update_rule
        if rule is not None:
            # Elsewhere than on the CPU torch updates all parameters together.
            together = True if self.settings.device_type == "cuda" else None
            make = _OPTIMIZERS[rule]
            self.optimizer = make(self.model.parameters(), lr=LEARNING_RATE, foreach=together)

    def run(self) -> None:
        """One step of the whole batch."""
        start = self.forward()
        if start is not None:
            start[0].backward(start[1])
        self.update()

    def forward(self) -> Start | None:
        """The forward pass and where the backward pass begins; None in ``infer``.

        Raises:
            UsageError: the output holds no tensor that a gradient could reach.
        """
        if not self.settings.trains:
            with torch.inference_mode(), self._autocast():
                self.model(self.input)
            return None
        with self._autocast():
            return self.objective.start(self.model(self.input))

    def update(self) -> None:
        """The optimiser's part, if there is one."""
        if self.optimizer is not None:
            self.optimizer.step()

    def reset(self) -> None:
        """Set all gradients to None, as training does between steps."""
        self.input.grad = None
        for parameter in self.model.parameters():
            parameter.grad = None

    def base_tensors(self) -> Iterator[Tensor]:
        """What is alive before a step: weights, buffers, optimiser state, input and objective."""
        yield from self.model.parameters()
        yield from self.model.buffers()
        yield self.input
        yield from self.objective.tensors()
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

    def keep(self, make: Maker) -> Tensor:
        """What the objective keeps between steps."""
        return make()

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = self.settings.autocast_dtype
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.input.device.type, dtype=dtype)
