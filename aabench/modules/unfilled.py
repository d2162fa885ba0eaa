"""The unfilled mode: models are built without filling their tensors, where nobody will look at numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

FILLING = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_})


class UnfilledMode(TorchFunctionMode):
    """While it is entered, tensors on the meta device are not filled: there is nothing to fill.

    Torch takes a third of a model's building to find out that the shapes are right.
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
            tensor = args[0] if args else named.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **named)
