"""The unfilled mode: models are built without filling their tensors, where nobody will look at numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

FILLING = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_})


class UnfilledMode(TorchFunctionMode):
    """While it is entered, weights are not initialised.

    On the meta device there is nothing to fill, and torch takes a third of a model's building to find
    out that the shapes are right.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The tensor as it is in the place of a filled one; what else is called, happens."""
        named = kwargs or {}
        if func in FILLING or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else named["tensor"]
        return func(*args, **named)
