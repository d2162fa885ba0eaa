"""The attention as one operation: in a trace a form's call does what its closed form tells.

Running a form block by block on fake tensors would be slow, and would say nothing that the closed
form does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from aabench.cases.choice import AUTO, Choice, Situation, choose_attention
from aabench.cost.attention import Attention, AttentionForm, Gradients
from aabench.cost.columns import Column
from aabench.cost.execution import SINGLE
from aabench.cost.layers import closed_form
from aabench.cost.timeline import GRADIENTS, KQV, Block, Timeline
from aabench.cost.traced.allocations import ATTENTION_BUFFERS, ATTENTION_MAPS, AllocationLog
from aabench.cost.traced.attention_record import AttentionRecord, work_since
from aabench.cost.traced.meter import Meter
from aabench.cost.traced.owners import Owners
from aabench.cost.traced.step_settings import StepSettings
from aabench.errors import UsageError


class AttentionInputs(Protocol):
    """What a form is called with: q, k, v, tables and resolution, which iterating gives.

    q, k and v are parts of one tensor, as closed forms have it.
    """

    @property
    def q(self) -> Tensor:
        """(B, Nh, N, dk/Nh)."""

    @property
    def k(self) -> Tensor:
        """(B, Nh, N, dk/Nh)."""

    @property
    def v(self) -> Tensor:
        """(B, Nh, N, dv/Nh)."""

    @property
    def tables(self) -> tuple[Tensor, Tensor] | None:
        """(2H-1, dk/Nh) and (2W-1, dk/Nh)."""

    @property
    def resolution(self) -> tuple[int, int]:
        """(H, W)."""

    def situation(self) -> Situation:
        """What the rules behind ``auto`` want to know."""


@runtime_checkable
class AttendingModule(Protocol):
    """A module that hands its attention to a form: ``AugmentedConv2d`` and its like."""

    attention: str

    def attend(self, inputs: Any) -> Tensor:
        """The form's call."""

    def choice(self, inputs: Any) -> Choice:
        """Which form."""


def make_attention_one_operation(owners: Owners, meter: Meter, settings: StepSettings) -> None:
    """Let every attending module of a fake copy compute its attention as one operation.

    A form without a closed form is left to be traced as it is.
    """
    for number in range(len(owners)):
        module = owners[number].module
        if isinstance(module, AttendingModule):
            module.attend = _Attend(module, module.attend, number, meter, settings)  # type: ignore[method-assign]


@dataclass(frozen=True)
class _Attend:
    """What takes the place of a module's ``attend``."""

    module: AttendingModule
    original: Callable[[Any], Tensor]
    owner: int
    meter: Meter
    settings: StepSettings

    def __call__(self, inputs: AttentionInputs) -> Tensor:
        name, device_type = self._form_name(inputs), self.settings.device_type
        form = closed_form(name)
        if form is None:
            return self.original(inputs)
        if not form.knows_memory(device_type):
            raise UsageError(
                f"what the attention form {name} allocates on {device_type} is not known",
                instead="measure it instead, or take another form",
            )
        tensors = (inputs.q, inputs.k, inputs.v, *(inputs.tables or ()))
        trains = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        attention = _attention(inputs, trains, self.settings)
        told = _Told(form, attention, self.owner, self.meter)
        attended: Tensor = _OneOperation.apply(told, *tensors)
        return attended

    def _form_name(self, inputs: AttentionInputs) -> str:
        if self.module.attention != AUTO:
            return self.module.attention
        settings = self.settings
        there = replace(
            inputs.situation(),
            device_type=settings.device_type,
            capability=settings.capability,
            precision=settings.precision,
        )
        return choose_attention(there).name


class _AttentionMemory(Timeline):
    """A timeline of one attention, whose blocks go into the log of the whole step."""

    def __init__(self, log: AllocationLog, owner: int) -> None:
        super().__init__(1)
        self._log, self._owner = log, owner
        self.places: dict[Block, int] = {}
        self.own: list[int] = []

    def allocate(self, kind: str, size: Column, *, is_map: bool = False) -> Block:
        """A block of the form's own."""
        block = super().allocate(kind, size, is_map=is_map)
        line = ATTENTION_MAPS if is_map else ATTENTION_BUFFERS
        self.places[block] = self._log.allocate(int(block.size[0]), line, self._owner)
        self.own.append(self.places[block])
        return block

    def adopt(self, kind: str, size: int, place: int) -> Block:
        """A block that is in the log already, with one reference."""
        block = super().allocate(kind, np.array([size], np.int64))
        self.places[block] = place
        return block

    def free(self, *blocks: Block) -> None:
        """A reference to each of these goes."""
        for block in blocks:
            super().free(block)
            if block not in self._references:
                self._log.free(self.places.pop(block))

    def hand_over(self, block: Block) -> None:
        """The caller's reference to a block is from now on that of a tensor, and not told."""
        place = self.places[block]
        super().free(block)
        if block not in self._references:
            del self.places[block]
        else:
            self.places[block] = place


class _Told:
    """One attention, told in the log: forward, and later backward.

    Args:
        form: the closed form.
        attention: its sizes.
        owner: the module's number.
        meter: of the trace.
    """

    def __init__(self, form: AttentionForm, attention: Attention, owner: int, meter: Meter) -> None:
        self._form, self._attention, self._owner, self.meter = form, attention, owner, meter
        self._memory = _AttentionMemory(meter.log, owner)
        self._operations: list[int] = []
        meter.attentions.append(self.record)
        macs = form.macs(attention).values()
        self._forward_macs = int(sum(int(part.forward[0]) for part in macs))
        self._backward_macs = int(sum(int(part.step[0]) for part in macs)) - self._forward_macs

    def forward(self, k: Tensor, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The attended values, and what has to be saved for the backward pass."""
        meter, memory, attention = self.meter, self._memory, self._attention
        least = int(attention.least_macs[0])
        meter.count(self._owner, forward=least, step=self._forward_macs)
        kqv_block = memory.adopt(KQV, _storage_bytes(k), meter.place_of(k))
        self._telling = self._form.memory(attention, memory, kqv_block)
        begin = memory.moment
        values = next(self._telling)
        self._note(self._forward_macs, begin)
        is_exact = int(values.size[0]) == v.numel() * v.element_size()
        channels_first = is_exact and self._form.merges_without_copy(attention)
        attended = self._tensor(values, v, channels_first=channels_first)
        given = {kqv_block: k, values: attended}
        for block in given:
            memory.hand_over(block)
        self._kept = memory.alive() if attention.trains else []
        return attended, [given[b] if b in given else self._anchor(b) for b in self._kept]

    def backward(
        self, gradient: Tensor, saved: tuple[Tensor, ...], inputs: tuple[_Like, ...]
    ) -> list[Tensor]:
        """The gradients of q, k and v."""
        meter, memory = self.meter, self._memory
        meter.count(self._owner, forward=0, step=self._backward_macs)
        # A checkpoint has computed them once more: other tensors, of the same sizes.
        for kept, tensor in zip(self._kept, saved, strict=True):
            memory.places[kept] = meter.place_of(tensor)
        block = memory.adopt(GRADIENTS, _storage_bytes(gradient), meter.place_of(gradient))
        begin = memory.moment
        *gradients, channels_last = self._finished(block)
        self._note(self._backward_macs, begin)
        channels_first = not np.all(channels_last)
        return [
            self._tensor(of_input, like, channels_first=channels_first)
            for of_input, like in zip(gradients, inputs, strict=True)
        ]

    def record(self) -> AttentionRecord:
        """What was told so far, to be told again."""
        places, operations = tuple(self._memory.own), tuple(self._operations)
        return AttentionRecord(self._form, self._attention, places, operations)

    def _note(self, macs: int, begin: int) -> None:
        """The form's work since a moment."""
        moved, launches = work_since(self._memory, begin)
        self._operations.append(self.meter.operations.note(macs, moved, launches))

    def _finished(self, gradient: Block) -> Gradients:
        try:
            self._telling.send(gradient)
        except StopIteration as finished:
            gradients: Gradients = finished.value
            return gradients
        raise AssertionError("a form's telling ends with its backward pass")

    def _anchor(self, block: Block) -> Tensor:
        """A tensor for autograd to save: the block goes with it at the latest."""
        with self.meter.paused():
            anchor = torch.empty(int(block.size[0]), dtype=torch.uint8)
        self.meter.bind(anchor, self._memory.places[block])
        return anchor

    def _tensor(self, block: Block, like: Tensor | _Like, *, channels_first: bool) -> Tensor:
        """A block as a tensor (B, Nh, N, d), its channels before pixels or the heads inside these.

        In the second layout a block may hold more channels a head than are seen.
        """
        batch, heads, tokens, depth = like.shape
        elements = int(block.size[0]) // like.dtype.itemsize
        if channels_first:
            strides = (heads * depth * tokens, depth * tokens, 1, tokens)
        else:
            deep = elements // (batch * heads * tokens)
            strides = (tokens * heads * deep, deep, heads * deep, 1)
        with self.meter.paused():
            whole = torch.empty(elements, dtype=like.dtype)
            tensor = whole.as_strided(tuple(like.shape), strides)
        self.meter.bind(tensor, self._memory.places[block])
        return tensor


class _Like(NamedTuple):
    """What a gradient is like, without keeping anything alive."""

    shape: torch.Size
    dtype: torch.dtype


class _OneOperation(torch.autograd.Function):
    """Both passes of a told attention as autograd sees them."""

    @staticmethod
    def forward(ctx: Any, told: _Told, q: Tensor, k: Tensor, v: Tensor, *tables: Tensor) -> Tensor:
        attended, saved = told.forward(k, v)
        ctx.told = told
        ctx.inputs = tuple(_Like(tensor.shape, tensor.dtype) for tensor in (q, k, v, *tables))
        ctx.save_for_backward(*saved)
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.told.backward(gradient, ctx.saved_tensors, ctx.inputs[:3])
        tables = [torch.empty(like.shape, dtype=like.dtype) for like in ctx.inputs[3:]]
        return (None, *gradients, *tables)


def _attention(inputs: AttentionInputs, trains: bool, settings: StepSettings) -> Attention:
    q, v, (height, width) = inputs.q, inputs.v, inputs.resolution
    batch, heads, tokens, key_depth = q.shape
    value_depth = v.shape[-1]
    _refuse_overflow(batch * heads * tokens * (tokens + key_depth + value_depth))
    execution = settings.execution()
    if execution.computed != q.element_size():  # a part of the network that autocast leaves out
        precision = "fp32" if q.element_size() == SINGLE else "bf16"
        execution = replace(execution, precision=precision)
    return Attention(
        batch=_column(batch),
        heads=_column(heads),
        key_depth=_column(key_depth),
        value_depth=_column(value_depth),
        height=_column(height),
        width=_column(width),
        has_tables=inputs.tables is not None,
        trains=trains,
        is_single_image=batch == 1,
        is_single_head=heads == 1,
        has_scalar_keys=key_depth == 1,
        has_scalar_values=value_depth == 1,
        execution=execution,
    )


def _refuse_overflow(numbers: int) -> None:
    """Refuse what 64 bits do not hold, with room for a dozen maps and their bytes."""
    if numbers > 2**56:
        raise UsageError("the attention map overflows 64 bits", got=f"about {numbers:.2g} numbers")


def _storage_bytes(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes()


def _column(number: int) -> Column:
    return np.array([number], np.int64)
