"""The attention script: what one attention allocates and frees, told once and written into many logs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from aabench.cost.attention import Attention, AttentionForm, Telling
from aabench.cost.columns import Column
from aabench.cost.execution import Execution
from aabench.cost.timeline import GRADIENTS, KQV, Block, Timeline
from aabench.cost.traced.allocations import ATTENTION_BUFFERS, ATTENTION_MAPS
from aabench.cost.traced.script import Script, ScriptedTimeline

KQV_NUMBER = 0
"""The number of the block that holds k, q and v, which is not the attention's own."""


class Numbered(NamedTuple):
    """A block: its number within the attention, and its bytes."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """What the forward pass does.

    Attributes:
        lines: its own blocks as they come and go.
        values: the attended ones.
        merges_without_copy: whether these lie channels before pixels.
        kept: for the backward pass; kqv and the attended values may be among them.
        macs: multiply-accumulates as executed.
        least_macs: the same for every form.
        work: bytes moved and operations launched.
    """

    lines: Script
    values: Numbered
    merges_without_copy: bool
    kept: tuple[Numbered, ...]
    macs: int
    least_macs: int
    work: tuple[int, int]


@dataclass(frozen=True, slots=True)
class BackwardPass:
    """What the backward pass does.

    Attributes:
        lines: its own blocks as they come and go, and the gradient that it is given as it goes.
        given: the number of that gradient.
        gradients: of q, k and v.
        channels_first: whether these lie channels before pixels.
        macs: multiply-accumulates as executed.
        work: bytes moved and operations launched.
    """

    lines: Script
    given: int
    gradients: tuple[Numbered, ...]
    channels_first: bool
    macs: int
    work: tuple[int, int]


class AttentionScript(NamedTuple):
    """What one attention does in a step.

    Attributes:
        forward: its forward pass.
        backward: its backward pass; None where there is none.
    """

    forward: ForwardPass
    backward: BackwardPass | None


class AttentionSizes(NamedTuple):
    """What decides what an attention does, by whatever form.

    Attributes:
        batch: B.
        heads: Nh.
        key_depth: dk / Nh.
        value_depth: dv / Nh.
        height: H of its map.
        width: W of its map.
        has_tables: whether relative positions are added to the logits.
        trains: whether a backward pass follows.
        execution: where and in which numbers.
    """

    batch: int
    heads: int
    key_depth: int
    value_depth: int
    height: int
    width: int
    has_tables: bool
    trains: bool
    execution: Execution

    def attention(self) -> Attention:
        """The same as the closed forms take it."""
        batch, heads, key_depth, value_depth, height, width, *_ = self
        return Attention(
            batch=_column(batch),
            heads=_column(heads),
            key_depth=_column(key_depth),
            value_depth=_column(value_depth),
            height=_column(height),
            width=_column(width),
            has_tables=self.has_tables,
            trains=self.trains,
            is_single_image=batch == 1,
            is_single_head=heads == 1,
            has_scalar_keys=key_depth == 1,
            has_scalar_values=value_depth == 1,
            execution=self.execution,
        )


def attention_script(form: AttentionForm, sizes: AttentionSizes) -> AttentionScript:
    """What a form tells of an attention of these sizes; a network has few that differ."""
    return _script((form, sizes))


@lru_cache(maxsize=1024)
def _script(told: tuple[AttentionForm, AttentionSizes]) -> AttentionScript:
    form, sizes = told
    return _Telling(form, sizes.attention()).script()


class _Telling:
    """One form telling of one attention."""

    def __init__(self, form: AttentionForm, attention: Attention) -> None:
        self._form, self._attention = form, attention
        macs = form.macs(attention).values()
        self._forward_macs = sum(int(part.forward[0]) for part in macs)
        self._step_macs = sum(int(part.step[0]) for part in macs)

    def script(self) -> AttentionScript:
        """Both passes."""
        memory = _ScriptedAttention()
        kqv = memory.outside(KQV)
        telling = self._form.memory(self._attention, memory, kqv)
        begin = memory.moment
        values = next(telling)
        work = _work_since(memory, begin)
        for block in (kqv, values):
            memory.hand_over(block)
        trains = self._attention.trains
        forward = ForwardPass(
            lines=memory.taken_lines(),
            values=memory.numbered(values),
            merges_without_copy=self._form.merges_without_copy(self._attention),
            kept=tuple(memory.numbered(each) for each in memory.alive()) if trains else (),
            macs=self._forward_macs,
            least_macs=int(self._attention.least_macs[0]),
            work=work,
        )
        return AttentionScript(forward, self._backward(memory, telling) if trains else None)

    def _backward(self, memory: _ScriptedAttention, telling: Telling) -> BackwardPass:
        given = memory.outside(GRADIENTS)
        begin = memory.moment
        try:
            telling.send(given)
        except StopIteration as finished:
            *gradients, channels_last = finished.value
        else:
            raise AssertionError("a form's telling ends with its backward pass")
        return BackwardPass(
            lines=memory.taken_lines(),
            given=memory.numbered(given).number,
            gradients=tuple(memory.numbered(each) for each in gradients),
            channels_first=not np.all(channels_last),
            macs=self._step_macs - self._forward_macs,
            work=_work_since(memory, begin),
        )


class _ScriptedAttention(ScriptedTimeline):
    """A timeline whose script is taken pass by pass, and some of whose blocks are somebody else's."""

    def taken_lines(self) -> Script:
        """What was told since it was asked last."""
        lines, self._lines = tuple(self._lines), []
        return lines

    def numbered(self, block: Block) -> Numbered:
        """A block's number and bytes."""
        return Numbered(self._numbers[block], int(block.size[0]))

    def line_of(self, block: Block) -> str:
        """The line of a composition that one of the form's own blocks belongs to."""
        return ATTENTION_MAPS if block.is_map else ATTENTION_BUFFERS

    def outside(self, kind: str) -> Block:
        """A block that somebody else has allocated; how large it is makes no difference."""
        block = Timeline.allocate(self, kind, _column(0))
        self._numbers[block] = len(self._numbers)
        return block

    def hand_over(self, block: Block) -> None:
        """The caller's reference to a block is from now on that of a tensor, and not told."""
        Timeline.free(self, block)


def _work_since(memory: Timeline, moment: int) -> tuple[int, int]:
    """Bytes moved and operations launched since a moment: whatever was written was read once too."""
    return 2 * int(memory.bytes_since(moment)[0]), int(memory.launches_since(moment)[0])


def _column(number: int) -> Column:
    return np.array([number], np.int64)
