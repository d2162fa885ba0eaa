"""The owners: to which module each operation belongs, forward, backward, and where it is run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aabench.cost.traced.objective import tensors_in

MODEL = 0
"""The number of the model itself, to which everything belongs that is no other module's."""

Shape = tuple[int, ...]


@dataclass(slots=True)
class Owner:
    """One module, and what was seen of it.

    Attributes:
        name: as in ``named_modules``; empty for the model itself.
        module: the module, of the fake copy.
        parent: the number of the module that it is part of.
        calls: how often its forward ran in the forward pass.
        input_shape: of its first call's first tensor.
        output_shape: likewise.
        macs_forward: of its own operations in the forward pass, the same for every attention form.
        macs_step: of its own operations in the whole step, as executed.
    """

    name: str
    module: nn.Module
    parent: int
    calls: int = 0
    input_shape: Shape | None = None
    output_shape: Shape | None = None
    macs_forward: int = 0
    macs_step: int = 0


@dataclass
class Owners:
    """All modules of a model, by number, in the order of ``named_modules``.

    Attributes:
        model: the fake copy; ``watch`` wraps the forward of its modules.
        in_forward: whether the forward pass is running, and no recomputation.
        order: the numbers of the modules in the order in which the forward pass reached them.
        failed: the innermost module whose forward raised, if the last one entered did.
    """

    model: nn.Module
    in_forward: bool = True
    order: list[int] = field(default_factory=list)
    failed: int | None = None

    def __post_init__(self) -> None:
        numbers: dict[str, int] = {}
        self._all: list[Owner] = []
        for name, module in self.model.named_modules():
            numbers[name] = len(self._all)
            parent = numbers.get(name.rpartition(".")[0], MODEL)
            self._all.append(Owner(name, module, parent))
        self._running: int | None = None
        self._of_node: dict[int, int] = {}

    def __getitem__(self, number: int) -> Owner:
        return self._all[number]

    def __iter__(self) -> Iterator[Owner]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def is_running(self) -> bool:
        """Whether some module's forward runs now."""
        return self._running is not None

    def watch(self) -> None:
        """From now on know which module runs."""
        for number, owner in enumerate(self._all):
            owner.module.forward = self._watched(number, owner.module.forward)

    def current(self) -> int:
        """The module whose operation runs now.

        In the backward pass that is the module whose operation is differentiated: autograd's nodes
        carry the sequence number that was next when they were made.
        """
        if self._running is not None:
            if torch.is_grad_enabled():
                # The first operation after a node was made is that node's: later ones, such as
                # a batch norm's counting, may make none of their own.
                self._of_node.setdefault(_sequence_number() - 1, self._running)
            return self._running
        node: Any = torch._C._current_autograd_node()
        if node is None:
            return MODEL
        return self._of_node.get(node._sequence_nr(), MODEL)

    def owned_tensors(self, tensors: Callable[[nn.Module], Any]) -> dict[Tensor, int]:
        """The module that each tensor is directly a parameter or buffer of, the first if several.

        Args:
            tensors: gives those of one module, without the modules inside it.
        """
        found: dict[Tensor, int] = {}
        for number, owner in enumerate(self._all):
            for tensor in tensors(owner.module):
                found.setdefault(tensor, number)
        return found

    def _watched(self, number: int, forward: Callable[..., Any]) -> Callable[..., Any]:
        owner = self._all[number]

        def run(*arguments: Any, **named: Any) -> Any:
            outer, self._running = self._running, number
            if self.in_forward:
                self._enter(number, (arguments, named))
            try:
                output = forward(*arguments, **named)
            except Exception:
                # Not kept: its frames hold tensors, and a checkpoint ends recomputation by one.
                if self.in_forward and self.failed is None:
                    self.failed = number
                raise
            finally:
                self._running = outer
            if owner.output_shape is None:
                owner.output_shape = _first_shape(output)
            return output

        return run

    def _enter(self, number: int, arguments: Any) -> None:
        owner = self._all[number]
        self.failed = None
        if not owner.calls:
            self.order.append(number)
            owner.input_shape = _first_shape(arguments)
        owner.calls += 1


def _sequence_number() -> int:
    number: int = torch.autograd._get_sequence_nr()  # type: ignore[attr-defined]
    return number


def _first_shape(value: Any) -> Shape | None:
    return next((tuple(tensor.shape) for tensor in tensors_in(value)), None)
