"""The twin: a copy of any torch module with other tensors in the place of its own."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from aabench.errors import UsageError

Model = TypeVar("Model", bound=nn.Module)

UNCHANGING = frozenset({type(None), bool, int, float, str, type, torch.dtype, torch.device})
"""The types of what a copy and its original can share; tuples of these are so too."""


def twin(
    model: Model,
    make: Callable[[Tensor], Tensor],
    within: AbstractContextManager[Any] | None = None,
) -> Model:
    """A copy of a model whose parameters, buffers and other attributes that are tensors are made anew.

    All else is what ``copy.deepcopy`` makes, in a third of its time; that holds for tensors in lists and
    dictionaries too, whose data is copied. A tensor that is there twice is so in the twin, but two that
    share a storage have one each.

    Args:
        model: neither changed nor run.
        make: gives the tensor that takes the place of one; parameters stay parameters.
        within: entered once while the tensors are made.

    Raises:
        UsageError: the model cannot be copied, or its lazy modules have not run yet.
    """
    tensors = _tensors(model)
    if any(map(is_lazy, tensors)):
        raise UsageError(
            "the model has lazy modules that do not know their sizes yet",
            got=type(model).__name__,
            instead="run it once on a batch of its own, or give them their sizes",
        )
    with within or nullcontext():
        known: dict[int, Any] = {id(each): _made(each, make) for each in tensors}
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


def _tensors(model: nn.Module) -> list[Tensor]:
    """Parameters, buffers, and tensors that are plain attributes of a module, each once."""
    others = (each for module in model.modules() for each in vars(module).values())
    plain = (each for each in others if isinstance(each, Tensor))
    every = {id(each): each for each in (*model.parameters(), *model.buffers(), *plain)}
    return list(every.values())


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
        same = _noted(value, kind(), known)
        for key, each in value.items():
            same[_copied(key, known)] = _copied(each, known)
        return same
    if isinstance(value, nn.Module) and _is_its_state(kind):  # type: ignore[arg-type]
        module = _noted(value, nn.Module.__new__(kind), known)
        state: dict[str, Any] = value.__getstate__()
        module.__setstate__({name: _copied(each, known) for name, each in state.items()})
        return module
    if kind is tuple and all(type(each) in UNCHANGING for each in value):
        return value
    return copy.deepcopy(value, known)


def _noted(value: Any, copied: Any, known: dict[int, Any]) -> Any:
    """The copy, which is remembered, and its original with it: no other may get the same identity."""
    known.setdefault(id(known), []).append(value)
    known[id(value)] = copied
    return copied


@cache
def _is_its_state(kind: type[nn.Module]) -> bool:
    """Whether modules of a type are copied as most are: an empty one takes a copy of the state."""
    is_plain = all(
        getattr(kind, way) is getattr(object, way) for way in ("__reduce_ex__", "__reduce__")
    )
    return is_plain and not hasattr(kind, "__deepcopy__")
