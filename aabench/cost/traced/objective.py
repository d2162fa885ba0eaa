"""The objective: what the backward pass of a step starts from, on real tensors and on fake ones alike.

This is a definition and no figure: what is predicted and what is measured run the same step, and
share nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from aabench.errors import UsageError

Start = tuple[Tensor, Tensor | None]
"""A tensor to call ``backward`` on, and the gradient to give it; None for a scalar."""

Maker = Callable[[], Tensor]


def made(make: Maker) -> Tensor:
    """The tensor that it makes."""
    return make()


class Objective(Protocol):
    """Gives each step the same thing to differentiate."""

    def start(self, output: Any) -> Start:
        """Where the backward pass of this output begins."""
        ...

    def tensors(self) -> Iterator[Tensor]:
        """What it keeps between steps."""
        ...


class FixedGradient:
    """A layer's: backward from a random tensor, fixed by the first step.

    Args:
        keep: makes what stays between steps; a trace notes that it was there before.
    """

    def __init__(self, keep: Callable[[Maker], Tensor] = made) -> None:
        self._keep = keep
        self._gradient: Tensor | None = None

    def start(self, output: Any) -> Start:
        """The output itself, with the fixed gradient."""
        if self._gradient is None:
            self._gradient = self._keep(lambda: torch.randn_like(output))
        return output, self._gradient

    def tensors(self) -> Iterator[Tensor]:
        """The gradient, once it exists."""
        if self._gradient is not None:
            yield self._gradient


class NetworkLoss:
    """A network's: cross-entropy with random classes, or else the mean of squares of its outputs.

    Cross-entropy where the output is one (B, classes) tensor. Detectors return several maps; there the
    squares of every output are averaged, and the averages summed, so that all of them get gradients.

    Args:
        keep: as of ``FixedGradient``.
    """

    def __init__(self, keep: Callable[[Maker], Tensor] = made) -> None:
        self._keep = keep
        self._target: Tensor | None = None

    def start(self, output: Any) -> Start:
        """The loss.

        Raises:
            UsageError: the output holds no tensor that a gradient could reach.
        """
        if isinstance(output, Tensor) and output.dim() == 2:
            if self._target is None:
                batch, classes = output.shape
                self._target = self._keep(
                    lambda: torch.randint(classes, (batch,), device=output.device)
                )
            return F.cross_entropy(output, self._target), None
        parts = [part.square().mean() for part in tensors_in(output) if part.requires_grad]
        if not parts:
            raise UsageError(
                "the model's output holds no tensor with a gradient, so it cannot be trained",
                got=type(output).__name__,
                instead="take the mode infer",
            )
        return torch.stack(parts).sum(), None

    def tensors(self) -> Iterator[Tensor]:
        """The classes, once they exist."""
        if self._target is not None:
            yield self._target


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and mappings, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
