"""The twin: a copy of any torch module with other tensors in the place of its own."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from aabench.errors import UsageError

Model = TypeVar("Model", bound=nn.Module)

UNCHANGING = frozenset({type(None), bool, int, float, str, type, torch.dtype, torch.device})
"""The types of what a copy and its original can share; tuples of these are so too."""


def twin(
    model: Model,
    make: Callable[[Tensor], Tensor],
    within: AbstractContextManager[Any] | None = None,
) -> Model:
    """A copy of a model whose parameters, buffers and other tensors are made anew.

    It is what ``copy.deepcopy`` makes, in a third of its time, and no tensor of the model is copied, so
    that it takes no memory to speak of, however large the model is. A tensor that is there twice is so
    in the twin.

    Args:
        model: neither changed nor run.
        make: gives the tensor that takes the place of one; parameters stay parameters.
        within: entered once while the tensors are made.

    Raises:
        UsageError: the model cannot be copied.
    """
    with within or nullcontext():
        known: dict[int, Any] = {id(each): _made(each, make) for each in _tensors(model)}
    try:
        copied: Model = _copied(model, known)
    except Exception as error:  # a user's module may object to copying in any way
        raise UsageError(
            f"the model cannot be copied to trace it: {type(error).__name__}: {error}",
            got=type(model).__name__,
            instead="make it a model that copy.deepcopy takes, or measure it instead",
        ) from error
    return copied


def _made(tensor: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
    made = make(tensor)
    is_parameter = isinstance(tensor, nn.Parameter)
    return nn.Parameter(made, requires_grad=tensor.requires_grad) if is_parameter else made


def _tensors(model: nn.Module) -> Iterable[Tensor]:
    """Parameters, buffers, and tensors that are plain attributes of a module, each once."""
    others = (each for module in model.modules() for each in vars(module).values())
    plain = (each for each in others if isinstance(each, Tensor))
    return {id(each): each for each in (*model.parameters(), *model.buffers(), *plain)}.values()


def _copied(value: Any, known: dict[int, Any]) -> Any:
    """A deep copy; modules and dictionaries are copied here, and all else by ``copy.deepcopy``.

    Args:
        value: anything.
        known: copies by the identity of what they are of, as ``copy.deepcopy`` keeps them.
    """
    kind = type(value)
    if kind in UNCHANGING:
        return value
    if id(value) in known:
        return known[id(value)]
    if kind is dict or kind is OrderedDict:
        same = known[id(value)] = kind()
        for key, each in value.items():
            same[_copied(key, known)] = _copied(each, known)
        return same
    if isinstance(value, nn.Module) and _is_its_state(kind):  # type: ignore[arg-type]
        module = known[id(value)] = nn.Module.__new__(kind)
        state: dict[str, Any] = value.__getstate__()
        module.__setstate__({name: _copied(each, known) for name, each in state.items()})
        return module
    if kind is tuple and all(type(each) in UNCHANGING for each in value):
        return value
    return copy.deepcopy(value, known)


@cache
def _is_its_state(kind: type[nn.Module]) -> bool:
    """Whether modules of a type are copied as most are: an empty one takes a copy of the state."""
    is_plain = all(
        getattr(kind, way) is getattr(object, way) for way in ("__reduce_ex__", "__reduce__")
    )
    return is_plain and not hasattr(kind, "__deepcopy__")
