"""The stand-ins: CPU tensors without memory, and what operations make of them.

They are to autograd, to autocast and to the choice of kernels what real tensors are, so that the same
operations reach the dispatch mode below them. What such an operation returns, and how that is laid
out, is asked of torch's own fake tensors, but only once for operands of the same sizes and layouts:
a network is made of few different operations, and fake tensors take their time.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from aabench.cost.traced.taught_results import Layout, taught_result

CPU = torch.device("cpu")


class StandIn(Tensor):
    """A CPU tensor whose storage has a size and no memory.

    No kernel that looks at data may ever get one: there is nothing where it would look.
    """

    # Functions are what they are of other tensors.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Refuse what happens outside of ``StandInMode``, such as to a tensor that a cache has kept."""
        raise RuntimeError(
            f"{func} on a tensor that was made while a step was traced: it has no data"
        )

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("a step is being traced: its tensors have no data to look at")

    # These would look without asking torch's dispatcher.
    apply_ = map_ = map2_ = __dlpack__ = _refuse


class StandInMode(TorchDispatchMode):
    """While it is entered, new tensors are stand-ins, and so is what is computed from them."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The result of one operation, which may come whole that else comes in parts."""
        if is_made_of_others(func):
            with self:
                return func.decompose(*args, **(kwargs or {}))
        return result_of(func, args, kwargs or {})

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch asks whether to hide this mode from its compiler; a trace lets no compiler run."""
        return False


class _Part(NamedTuple):
    """A result in the memory of another tensor.

    Attributes:
        of: the place of that tensor among the operands, which the results before this one follow.
        layout: of the result.
        offset: elements of the result's type between their first ones.
    """

    of: int
    layout: Layout
    offset: int


class _Effect(Enum):
    """What an operation gives: views, operands that it changed, nothing, no tensors, or new ones."""

    VIEW = auto()
    CHANGED = auto()
    NOTHING = auto()
    NO_TENSOR = auto()
    NEW = auto()


def result_of(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What an operation gives on stand-ins.

    What happens to real tensors alone, such as an optimiser's count of steps, happens.

    Args:
        operation: the overload that was called.
        arguments: its positional arguments.
        named: its named arguments.
    """
    effect = _effect(operation)
    if effect is _Effect.VIEW and isinstance(arguments[0], StandIn):
        with torch._C._DisableTorchDispatch():  # the CPU's own, which looks at no data
            return _as_stand_ins(operation(*arguments, **named))
    operands: list[Tensor] = []
    layouts = [_layouts(each, operands) for each in (arguments, *named.items())]
    is_real = operands or effect is _Effect.NO_TENSOR
    if is_real and not any(isinstance(operand, StandIn) for operand in operands):
        return operation(*arguments, **named)
    if effect is _Effect.NOTHING:
        return None
    question = operation, torch.get_default_dtype(), *layouts
    answer = _answer(question, lambda: _asked(operation, arguments, named))
    return _made(answer, operands, is_changed=effect is _Effect.CHANGED)


_answers: dict[Any, Any] = {}
"""What was asked before: descriptions of results by the operation and its arguments' layouts."""

MOST_ANSWERS = 1 << 16
"""As many are remembered; then all are forgotten."""


@lru_cache(maxsize=1024)
def is_made_of_others(operation: Any) -> bool:
    """Whether an operation comes whole, as in inference mode, that else comes in parts."""
    # What asks for a tensor's attributes is no operation, and cannot be asked about itself.
    return operation.namespace != "prim" and bool(operation._can_decompose())


@lru_cache(maxsize=1024)
def _effect(operation: Any) -> _Effect:
    schema = operation._schema
    is_view = operation.is_view or torch.Tag.inplace_view in operation.tags
    if is_view and not is_made_of_others(operation):  # these may copy
        return _Effect.VIEW
    if schema.is_mutable:
        return _Effect.CHANGED if schema.returns else _Effect.NOTHING
    gives_tensors = any("Tensor" in str(each.type) for each in schema.returns)
    return _Effect.NEW if gives_tensors else _Effect.NO_TENSOR


def _layouts(value: Any, operands: list[Tensor]) -> Any:
    """A value with layouts in the place of its tensors, which are added to the operands."""
    if isinstance(value, Tensor):
        operands.append(value)
        return value.shape, value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return tuple([_layouts(each, operands) for each in value])
    if isinstance(value, bool | float | complex):  # 1, 1.0 and True are the same to a dictionary
        return type(value), value
    return value


def _answer(question: Any, ask: Callable[[], Any]) -> Any:
    """What is remembered of a question; else what asking gives."""
    try:
        return _answers[question]
    except KeyError:
        pass
    except TypeError:  # an argument that cannot be hashed
        return ask()
    if len(_answers) >= MOST_ANSWERS:
        _answers.clear()
    answer = _answers[question] = ask()
    return answer


def _asked(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The description of an operation's results, from torch's fake tensors if nobody else knows it."""
    taught = None if named else taught_result(operation, arguments)
    if taught is not None:
        return taught
    owners: dict[int, int] = {}
    with _disable_current_modes(), _fake_tensors():
        results = operation(*_faked(arguments, owners), **_faked(named, owners))
    return _described(results, owners)


@lru_cache(maxsize=1)
def _fake_tensors() -> FakeTensorMode:
    """One mode for all questions; its own cache would only take its time, since each is asked once."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    mode.cache_enabled = False
    return mode


def _faked(value: Any, owners: dict[int, int]) -> Any:
    """A value with fake tensors in the place of its own; their storages are numbered in order."""
    if isinstance(value, Tensor):
        fake = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
        owners[fake.untyped_storage()._cdata] = len(owners)
        return fake
    if isinstance(value, dict):
        return {key: _faked(each, owners) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_faked(each, owners) for each in value]
    return value


def _described(value: Any, owners: dict[int, int]) -> Any:
    """Results with descriptions in the place of fake tensors."""
    if isinstance(value, list | tuple):
        return type(value)([_described(each, owners) for each in value])
    if not isinstance(value, Tensor):
        return value
    storage = value.untyped_storage()
    layout = Layout(value.shape, value.stride(), value.dtype, storage.nbytes())
    if storage._cdata in owners:
        return _Part(owners[storage._cdata], layout, int(value.storage_offset()))
    owners[storage._cdata] = len(owners)
    return layout


def _made(described: Any, tensors: list[Tensor], *, is_changed: bool) -> Any:
    """The results that were described.

    Args:
        described: by ``_described``.
        tensors: the operands, to which new results are added.
        is_changed: whether the operation changes operands in place: then what lies in one as a whole is
            no new view of it but that operand itself.
    """
    if isinstance(described, Layout):
        tensors.append(_stand_in(described))
        return tensors[-1]
    if isinstance(described, _Part):
        whole = tensors[described.of]
        return (
            whole
            if is_changed and whole.shape == described.layout.shape
            else _part(whole, described)
        )
    if isinstance(described, list | tuple):
        return type(described)([_made(each, tensors, is_changed=is_changed) for each in described])
    return described


def _stand_in(layout: Layout) -> Tensor:
    """A new stand-in."""
    return Tensor._make_wrapper_subclass(
        StandIn,
        layout.shape,
        layout.strides,
        dtype=layout.dtype,
        device=CPU,
        storage_size=layout.size,
    )


def _part(whole: Tensor, part: _Part) -> Tensor:
    """A stand-in in the storage of another tensor."""
    made = _stand_in(part.layout._replace(size=0))
    begin = whole.storage_offset() * whole.itemsize // made.itemsize
    with torch._C._DisableTorchDispatch():
        made.set_(whole.untyped_storage(), begin + part.offset, made.shape, made.stride())
    return made


def _as_stand_ins(value: Any) -> Any:
    """Views that the CPU made, as stand-ins."""
    if isinstance(value, StandIn):
        return value
    if isinstance(value, Tensor):
        return Tensor._make_subclass(StandIn, value)
    return type(value)([_as_stand_ins(each) for each in value])
