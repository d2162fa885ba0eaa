"""The objective: what the backward pass of a step starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from aabench.errors import UsageError

Start = tuple[Tensor, Tensor | None]
"""A tensor to call ``backward`` on, and the gradient to give it; None for a scalar."""


class Objective(Protocol):
    """Gives each step the same thing to differentiate."""

    def start(self, output: Any) -> Start:
        """Where the backward pass of this output begins."""
        ...

    def tensors(self) -> Iterator[Tensor]:
        """What it keeps between steps."""
        ...


class FixedGradient:
    """A layer's: backward from a random tensor, fixed by the first step."""

    def __init__(self) -> None:
        self._gradient: Tensor | None = None

    def start(self, output: Any) -> Start:
        """The output itself, with the fixed gradient."""
        if self._gradient is None:
            self._gradient = torch.randn_like(output)
        return output, self._gradient

    def tensors(self) -> Iterator[Tensor]:
        """The gradient, once it exists."""
        if self._gradient is not None:
            yield self._gradient


class NetworkLoss:
    """A network's: cross-entropy with random classes, or else the mean of squares of its outputs.

    Cross-entropy where the output is one (B, classes) tensor. Detectors return several maps; there the
    squares of every output are averaged, and the averages summed, so that all of them get gradients.
    """

    def __init__(self) -> None:
        self._target: Tensor | None = None

    def start(self, output: Any) -> Start:
        """The loss.

        Raises:
            UsageError: the output holds no tensor that a gradient could reach.
        """
        if isinstance(output, Tensor) and output.dim() == 2:
            if self._target is None:
                batch, classes = output.shape
                self._target = torch.randint(classes, (batch,), device=output.device)
            return F.cross_entropy(output, self._target), None
        parts = [part.square().mean() for part in tensors_in(output) if part.requires_grad]
        if not parts:
            raise UsageError(
                "the model's output holds no tensor with a gradient, so it cannot be trained",
                got=type(output).__name__,
                instead="take --mode infer",
            )
        return torch.stack(parts).sum(), None

    def tensors(self) -> Iterator[Tensor]:
        """The classes, once they exist."""
        if self._target is not None:
            yield self._target


def tensors_in(output: Any) -> Iterator[Tensor]:
    """Every tensor in an output of tuples, lists and mappings."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for part in output.values():
            yield from tensors_in(part)
    elif isinstance(output, tuple | list):
        for part in output:
            yield from tensors_in(part)
