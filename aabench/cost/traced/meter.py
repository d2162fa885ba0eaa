"""The meter: sees every operation of a step without memory, and logs blocks and multiplications."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from aabench.cost.traced.allocations import (
    ACTIVATIONS,
    TEMPORARIES,
    AllocationLog,
)
from aabench.cost.traced.attention_record import AttentionRecord
from aabench.cost.traced.kernel_scratch import KernelScratch
from aabench.cost.traced.objective import tensors_in
from aabench.cost.traced.operations import OperationLog
from aabench.cost.traced.owners import Owners
from aabench.cost.traced.script import replay
from aabench.cost.traced.stand_ins import is_made_of_others

Shape = tuple[int, ...]

Runner = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]

_EMPTY = torch.ops.aten.empty_strided.default


def called(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The result of an operation by whatever takes it after the meter."""
    return operation(*arguments, **named)


class Meter(TorchDispatchMode):
    """Follows the storages that are alive, and counts multiply-accumulates by torch's own formulas.

    What an operation moves is what it reads and writes, each tensor once.

    A storage counts once, from the operation that returns it first until nothing refers to it; what
    shares the storage of something known is a view, or was written in place.

    Args:
        owners: whose each operation is.
        scratch: what kernels allocate beside their results.
        log: where blocks are written down.
        run: gives the result of an operation on its arguments, positional and named.
    """

    def __init__(
        self, owners: Owners, scratch: KernelScratch, log: AllocationLog, run: Runner
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.owners = owners
        self._run = run
        self.log = log
        self.operations = OperationLog()
        self.attentions: list[Callable[[], AttentionRecord]] = []
        self._scratch = scratch
        self._known: dict[int, tuple[int, Any]] = {}
        self._is_paused = False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one operation, and write down what it did."""
        kwargs = kwargs or {}
        if self._is_paused:
            return self._run(func, args, kwargs)
        if is_made_of_others(func):
            with self:
                return func.decompose(*args, **kwargs)
        result = self._run(func, args, kwargs)
        if not isinstance(result, Tensor | tuple | list):
            return result
        owner = self.owners.current()
        kind = TEMPORARIES
        if not self.owners.in_forward and self.owners.is_running:
            kind = ACTIVATIONS  # a checkpoint computes them again
        known = len(self.log.sizes)
        replay(self._scratch.of(func, args, result), self.log, owner)
        for tensor in tensors_in(result):
            self.notice(tensor, kind, owner)
        macs = _macs(func, args, kwargs, result)
        if macs:
            self.count(owner, forward=macs, step=macs)
        if known < len(self.log.sizes) or func._schema.is_mutable:  # else it made a view
            self.operations.note(macs, _bytes_of((args, kwargs)) + _bytes_of(result))
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch asks whether to hide this mode from its compiler, which takes time at every operation.

        A trace lets no compiler run at all.
        """
        return False

    def notice(self, tensor: Tensor, kind: str, owner: int) -> int:
        """The place in the log of a tensor's storage, which is written down if it is new."""
        storage = tensor.untyped_storage()
        known = self._known.get(storage._cdata)
        if known is not None:
            return known[0]
        return self._follow(storage, self.log.allocate(storage.nbytes(), kind, owner))

    def blank(self, shape: Shape, strides: Shape, dtype: torch.dtype, place: int) -> Tensor:
        """A new tensor for a block that is written down already, and goes with it."""
        layout = {"dtype": dtype, "device": torch.device("cpu")}
        with self.paused():
            tensor: Tensor = self._run(_EMPTY, (shape, strides), layout)
        self.bind(tensor, place)
        return tensor

    def bind(self, tensor: Tensor, place: int) -> None:
        """Let a block that is written down already go with the storage of a new tensor."""
        self._follow(tensor.untyped_storage(), place)

    def place_of(self, tensor: Tensor) -> int:
        """The place in the log of a storage that is known."""
        return self._known[tensor.untyped_storage()._cdata][0]

    def count(self, owner: int, *, forward: int, step: int) -> None:
        """Add multiply-accumulates; those of the forward pass count while it runs."""
        if self.owners.in_forward:
            self.owners[owner].macs_forward += forward
        self.owners[owner].macs_step += step

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within this, nothing is written down."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def _follow(self, storage: torch.UntypedStorage, place: int) -> int:
        key = storage._cdata
        self._known[key] = (place, weakref.ref(storage, partial(self._forget, key)))
        return place

    def _forget(self, key: int, _reference: Any) -> None:
        place, _ = self._known.pop(key)
        self.log.free(place)


def _macs(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any], result: Any) -> int:
    """Multiply-accumulates by torch's own formula; 0 of an operation without one."""
    formula = flop_registry.get(operation._overloadpacket)
    if formula is None:
        return 0
    bare = getattr(formula, "__wrapped__", None)
    if bare is None:
        return int(formula(*arguments, **named, out_val=result)) // 2
    shapes = {key: _shapes(value) for key, value in named.items()}
    return int(bare(*_shapes(arguments), **shapes, out_shape=_shapes(result))) // 2


def _shapes(value: Any) -> Any:
    """A value with shapes in the place of its tensors, as the formulas want it."""
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, list | tuple):
        return type(value)([_shapes(each) for each in value])
    return value


def _bytes_of(value: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_in(value))
