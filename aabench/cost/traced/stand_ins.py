"""The stand-ins: tensors on the meta device in place of the CPU's, and what operations make of them.

What an operation returns, and how that is laid out, is asked of torch's own fake CPU tensors, but
only once for operands of the same sizes and layouts: a network is made of few different operations,
and fake tensors take their time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

META = "meta"

CHOSEN_BY_DEVICE = ("scaled_dot_product", "_safe_softmax")
"""Parts of the names of what torch's fused attention becomes, which is another thing on each device. On
the meta device it always falls apart, ``_safe_softmax`` among its parts."""

SCALAR = "scalar"
"""The kind of a described number that another one of another type is equal to."""


class Unfamiliar(Exception):
    """An operation that stands for different ones on different devices; only fake tensors know which."""


class TensorLayout(NamedTuple):
    """What decides about the result of an operation, of one operand.

    Attributes:
        shape: of the tensor.
        strides: in elements.
        dtype: of its elements.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> TensorLayout:
        """That of a tensor, wherever it is."""
        return cls(tensor.shape, tensor.stride(), tensor.dtype)

    def made(self, device: str) -> Tensor:
        """A new tensor like it."""
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device=device)


class _Described(NamedTuple):
    """A list, a tuple or a number, with the layouts of tensors in their place."""

    kind: str
    items: tuple[Any, ...]


def result_of(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What an operation gives on stand-ins.

    Views and changes in place are made on the meta device itself, which knows them; so is what happens
    to real tensors alone, such as an optimiser's count of steps.

    Args:
        operation: the overload that was called.
        arguments: its positional arguments.
        named: its named arguments.

    Raises:
        Unfamiliar: the operation is not the same on the meta device as on others.
    """
    if any(part in operation.__name__ for part in CHOSEN_BY_DEVICE):
        raise Unfamiliar(str(operation))
    if _gives_no_new_tensor(operation):
        return operation(*arguments, **named)
    places: set[str] = set()
    described = _described(arguments, places), _described(tuple(sorted(named.items())), places)
    if places == {"cpu"}:
        return operation(*arguments, **named)
    try:
        layouts = _layouts(operation, *described)
    except TypeError:  # an argument that cannot be hashed
        layouts = _layouts.__wrapped__(operation, *described)
    return operation(*arguments, **named) if layouts is None else _made(layouts, META)


@lru_cache(maxsize=1024)
def _gives_no_new_tensor(operation: Any) -> bool:
    """Whether an operation returns its operands' memory, as they are or changed in place, or no tensor."""
    returned = [each for each in operation._schema.returns if "Tensor" in str(each.type)]
    return all(each.alias_info is not None for each in returned)


@lru_cache(maxsize=1 << 16)
def _layouts(operation: Any, arguments: _Described, named: _Described) -> Any:
    """The layouts of an operation's results; None if they share the memory of an operand."""
    with _fake_tensors():
        given = _made(arguments, "cpu"), dict(_made(named, "cpu"))
        result = operation(*given[0], **given[1])
    operands = {tensor.untyped_storage()._cdata for tensor in _tensors(given)}
    if any(tensor.untyped_storage()._cdata in operands for tensor in _tensors(result)):
        return None
    return _described(result, set())


@lru_cache(maxsize=1)
def _fake_tensors() -> FakeTensorMode:
    """One mode for all questions; its own cache would only take its time, since each is asked once."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    mode.cache_enabled = False
    return mode


def _described(value: Any, places: set[str]) -> Any:
    """A value with its tensors' layouts in the place of tensors, hashable if all else is.

    Args:
        value: any argument or result.
        places: to which the types of the tensors' devices are added.
    """
    if isinstance(value, Tensor):
        places.add(value.device.type)
        return TensorLayout.of(value)
    if isinstance(value, list | tuple):
        return _Described(type(value).__name__, tuple(_described(each, places) for each in value))
    if isinstance(value, bool | float):
        return _Described(
            SCALAR, (type(value), value)
        )  # 1, 1.0 and True are the same to a dictionary
    return value


def _made(described: Any, device: str) -> Any:
    """The value that was described, with new tensors on a device."""
    if isinstance(described, TensorLayout):
        return described.made(device)
    if isinstance(described, _Described):
        if described.kind == SCALAR:
            return described.items[1]
        items = (_made(each, device) for each in described.items)
        return list(items) if described.kind == "list" else tuple(items)
    return described


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    return []
