"""The attention as one operation: in a trace a form's call does what its closed form tells.

Running a form block by block on fake tensors would be slow, and would say nothing that the closed
form does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from aabench.cases.choice import AUTO, Choice, Situation, choose_attention
from aabench.cost.attention import AttentionForm
from aabench.cost.execution import SINGLE, Execution
from aabench.cost.layers import closed_form
from aabench.cost.traced.attention_record import AttentionRecord
from aabench.cost.traced.attention_script import (
    KQV_NUMBER,
    AttentionSizes,
    BackwardPass,
    ForwardPass,
    Numbered,
    attention_script,
)
from aabench.cost.traced.meter import Meter
from aabench.cost.traced.owners import Owners
from aabench.cost.traced.script import write
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
    execution = settings.execution()
    for number in range(len(owners)):
        module = owners[number].module
        if isinstance(module, AttendingModule):
            module.attend = _Attend(  # type: ignore[method-assign]
                module, module.attend, number, meter, settings, execution
            )


@dataclass(frozen=True)
class _Attend:
    """What takes the place of a module's ``attend``."""

    module: AttendingModule
    original: Callable[[Any], Tensor]
    owner: int
    meter: Meter
    settings: StepSettings
    execution: Execution

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
        sizes = _sizes(inputs, trains, self.execution)
        told = _Told(form, sizes, self.owner, self.meter)
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


class _Told:
    """One attention, written into the log: forward, and later backward.

    Args:
        form: the closed form.
        sizes: of the attention.
        owner: the module's number.
        meter: of the trace.
    """

    def __init__(
        self, form: AttentionForm, sizes: AttentionSizes, owner: int, meter: Meter
    ) -> None:
        self._form, self._sizes, self._owner, self._meter = form, sizes, owner, meter
        self._script = attention_script(form, sizes)
        self._places: dict[int, int] = {}
        self._own: list[int] = []
        self._operations: list[int] = []
        meter.attentions.append(self.record)

    def forward(self, k: Tensor, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The attended values, and what has to be saved for the backward pass."""
        told, meter = self._script.forward, self._meter
        meter.count(self._owner, forward=told.least_macs, step=told.macs)
        self._places[KQV_NUMBER] = meter.place_of(k)
        self._write(told)
        is_exact = told.values.size == v.numel() * v.element_size()
        channels_first = is_exact and told.merges_without_copy
        attended = self._tensor(told.values, v, channels_first=channels_first)
        known = {KQV_NUMBER: k, told.values.number: attended}
        saved = [known.get(each.number) for each in told.kept]
        return attended, [
            self._anchor(kept) if tensor is None else tensor
            for kept, tensor in zip(told.kept, saved, strict=True)
        ]

    def backward(
        self, gradient: Tensor, saved: tuple[Tensor, ...], inputs: tuple[_Like, ...]
    ) -> list[Tensor]:
        """The gradients of q, k and v."""
        forward, told = self._script
        assert told is not None
        self._meter.count(self._owner, forward=0, step=told.macs)
        # A checkpoint has computed them once more: other tensors, of the same sizes.
        for kept, tensor in zip(forward.kept, saved, strict=True):
            self._places[kept.number] = self._meter.place_of(tensor)
        self._places[told.given] = self._meter.place_of(gradient)
        self._write(told)
        return [
            self._tensor(block, like, channels_first=told.channels_first)
            for block, like in zip(told.gradients, inputs, strict=True)
        ]

    def record(self) -> AttentionRecord:
        """What was told so far, to be told again."""
        return AttentionRecord(self._form, self._sizes, tuple(self._own), tuple(self._operations))

    def _write(self, told: ForwardPass | BackwardPass) -> None:
        """The blocks and the work of a pass."""
        meter = self._meter
        self._own += write(told.lines, self._places, meter.log, self._owner)
        self._operations.append(meter.operations.note(told.macs, *told.work))

    def _anchor(self, block: Numbered) -> Tensor:
        """A tensor for autograd to save: the block goes with it at the latest."""
        return self._meter.blank((block.size,), (1,), torch.uint8, self._places[block.number])

    def _tensor(self, block: Numbered, like: Tensor | _Like, *, channels_first: bool) -> Tensor:
        """A block as a tensor (B, Nh, N, d), its channels before pixels or the heads inside these.

        In the second layout a block may hold more channels a head than are seen.
        """
        batch, heads, tokens, depth = like.shape
        elements = block.size // like.dtype.itemsize
        if channels_first:
            strides = (heads * depth * tokens, depth * tokens, 1, tokens)
        else:
            deep = elements // (batch * heads * tokens)
            strides = (tokens * heads * deep, deep, heads * deep, 1)
        shape, place = tuple(like.shape), self._places[block.number]
        return self._meter.blank(shape, strides, like.dtype, place)


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


def _sizes(inputs: AttentionInputs, trains: bool, execution: Execution) -> AttentionSizes:
    q, v, (height, width) = inputs.q, inputs.v, inputs.resolution
    batch, heads, tokens, key_depth = q.shape
    value_depth = v.shape[-1]
    _refuse_overflow(batch * heads * tokens * (tokens + key_depth + value_depth))
    if execution.computed != q.element_size():  # a part of the network that autocast leaves out
        precision = "fp32" if q.element_size() == SINGLE else "bf16"
        execution = replace(execution, precision=precision)
    has_tables = inputs.tables is not None
    return AttentionSizes(
        batch, heads, key_depth, value_depth, height, width, has_tables, trains, execution
    )


def _refuse_overflow(numbers: int) -> None:
    """Refuse what 64 bits do not hold, with room for a dozen maps and their bytes."""
    if numbers > 2**56:
        raise UsageError("the attention map overflows 64 bits", got=f"about {numbers:.2g} numbers")
