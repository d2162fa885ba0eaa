"""The step record: what a trace wrote down, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aabench.cost.timeline import PARAMETERS
from aabench.cost.traced.allocations import BUFFERS, KINDS, Allocations
from aabench.cost.traced.attention_record import AttentionRecord
from aabench.cost.traced.operations import Operations
from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.traced_step import Shape, TracedModule, TracedStep


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """One module as traced; its figures are those of its own operations alone.

    Attributes:
        name: as in ``named_modules``.
        kind: its class.
        parent: the number of the module that it is part of; its own number for the model itself.
        is_leaf: whether it has no modules inside it.
        kernel_size: height of the window of a two-dimensional convolution; None of other modules.
        calls: how often its forward ran.
        input_shape: of its first call.
        output_shape: of its first call.
        params: elements of its own parameters.
        macs_forward: see ``TracedModule``.
        macs_step: likewise.
    """

    name: str
    kind: str
    parent: int
    is_leaf: bool
    kernel_size: int | None
    calls: int
    input_shape: Shape | None
    output_shape: Shape | None
    params: int
    macs_forward: int
    macs_step: int


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """One traced step.

    Attributes:
        batch: images.
        settings: what the step is.
        modules: all modules, by number.
        order: the numbers of those that the forward pass reached, in that order.
        allocations: every block of base and step.
        starts: the moment at which each phase begins, in order; the first is the base's last.
        operations: what each operation of the step does.
        attentions: those that were told by their closed forms.
        basis: how the figures came about.
    """

    batch: int
    settings: StepSettings
    modules: tuple[ModuleRecord, ...]
    order: tuple[int, ...]
    allocations: Allocations
    starts: tuple[tuple[str, int], ...]
    operations: Operations
    attentions: tuple[AttentionRecord, ...] = ()
    basis: str = "traced"

    def equals(self, other: StepRecord) -> bool:
        """Whether both say the same of a step, however they came about."""
        blocks, others = self.allocations, other.allocations
        return (
            self.modules == other.modules
            and self.operations == other.operations
            and blocks.runs_alike(others)
            and np.array_equal(blocks.sizes, others.sizes)
        )

    def figures(self) -> TracedStep:
        """The step's figures."""
        blocks, settings = self.allocations, self.settings
        sizes = blocks.rounded(settings.granularity)
        levels = blocks.levels(sizes)
        before = self.starts[0][1]
        peak_moment = before + int(np.argmax(levels[before:]))
        at_peak = np.where(blocks.alive_at(peak_moment), sizes, 0)
        saved = np.where(self._saved(), sizes, 0)
        by_kind = np.bincount(blocks.kinds, at_peak, len(KINDS)).astype(np.int64)
        of_kind = np.bincount(blocks.kinds, sizes, len(KINDS)).astype(np.int64)
        return TracedStep(
            batch=self.batch,
            settings=settings,
            params=sum(module.params for module in self.modules),
            macs_forward=sum(module.macs_forward for module in self.modules),
            macs=sum(module.macs_step for module in self.modules),
            parameter_bytes=int(of_kind[KINDS.index(PARAMETERS)]),
            buffer_bytes=int(of_kind[KINDS.index(BUFFERS)]),
            base_bytes=int(sizes[blocks.born <= before].sum()),
            saved_bytes=int(saved.sum()),
            peak_bytes=int(levels[peak_moment]),
            at_peak={kind: int(size) for kind, size in zip(KINDS, by_kind, strict=True) if size},
            phase_peaks=self._phase_peaks(sizes, levels),
            modules=self._modules(at_peak, saved, levels),
            operations=self.operations,
            basis=self.basis,
        )

    def _saved(self) -> NDArray[np.bool_]:
        """Which blocks the forward pass leaves for the backward pass."""
        blocks = self.allocations
        if not self.settings.trains:
            return np.zeros(len(blocks.sizes), np.bool_)
        (_, before), (_, after), *_ = self.starts
        return blocks.alive_after(after) & (blocks.born > before)

    def _phase_peaks(self, sizes: NDArray[np.int64], levels: NDArray[np.int64]) -> dict[str, int]:
        ends = [*(start for _, start in self.starts[1:]), len(levels) - 1]
        peaks = {}
        for (phase, start), end in zip(self.starts, ends, strict=True):
            resting = int(sizes[self.allocations.alive_after(start)].sum())
            peaks[phase] = max(resting, int(levels[start + 1 : end + 1].max(initial=0)))
        return peaks

    def _modules(
        self, at_peak: NDArray[np.int64], saved: NDArray[np.int64], levels: NDArray[np.int64]
    ) -> tuple[TracedModule, ...]:
        blocks, count = self.allocations, len(self.modules)
        own = np.bincount(blocks.owners, at_peak, count).astype(np.int64)
        kept = np.bincount(blocks.owners, saved, count).astype(np.int64)
        places = blocks.owners * len(KINDS) + blocks.kinds
        kinds = np.bincount(places, at_peak, count * len(KINDS)).astype(np.int64)
        kinds = kinds.reshape(count, len(KINDS))
        highest = np.zeros(count, np.int64)
        np.maximum.at(highest, blocks.owners, levels[blocks.born])
        params, forward, step = (
            np.array([getattr(module, name) for module in self.modules], np.int64)
            for name in ("params", "macs_forward", "macs_step")
        )
        whole = own.copy()
        for number in range(count - 1, 0, -1):
            parent = self.modules[number].parent
            for column in (whole, kinds, kept, params, forward, step):
                column[parent] += column[number]
            highest[parent] = max(highest[parent], highest[number])
            if not self.modules[number].calls:
                own[parent] += own[number]
        return tuple(
            _row(
                self.modules[number],
                {name: int(size) for name, size in zip(KINDS, kinds[number], strict=True) if size},
                params=int(params[number]),
                macs_forward=int(forward[number]),
                macs_step=int(step[number]),
                saved_bytes=int(kept[number]),
                bytes_at_peak=int(whole[number]),
                own_bytes_at_peak=int(own[number]),
                live_peak_bytes=int(highest[number]),
            )
            for number in self.order
        )


def _row(module: ModuleRecord, at_peak: Mapping[str, int], **figures: int) -> TracedModule:
    return TracedModule(
        name=module.name or "(model)",
        kind=module.kind,
        depth=module.name.count(".") + 1 if module.name else 0,
        is_leaf=module.is_leaf,
        kernel_size=module.kernel_size,
        calls=module.calls,
        input_shape=module.input_shape,
        output_shape=module.output_shape,
        at_peak=at_peak,
        **figures,
    )


def at_batch(first: StepRecord, second: StepRecord, batch: int) -> StepRecord | None:
    """The record of another batch, where everything grows evenly from one to the other.

    Every single block and count is a + b * batch, and so every moment of the step is; the blocks of
    attentions are told again.

    Returns:
        The record, or None where the two steps do not run alike, or something grows unevenly.
    """
    if not first.allocations.runs_alike(second.allocations) or first.starts != second.starts:
        return None
    grown, span = batch - first.batch, second.batch - first.batch
    change = second.allocations.sizes - first.allocations.sizes
    sizes = first.allocations.sizes + change // span * grown
    is_even = change % span == 0
    work: dict[int, tuple[int, int]] = {}
    for attention in _retold(first, second, grown, span):
        places = list(attention.places)
        sizes[places], is_even[places] = attention.block_sizes(), True
        work |= zip(attention.operations, attention.work(), strict=True)
    if not np.all(is_even) or np.any(sizes < 0):
        return None
    modules = tuple(
        _grown(one, other, grown, span)
        for one, other in zip(first.modules, second.modules, strict=True)
    )
    return replace(
        first,
        batch=batch,
        modules=modules,
        allocations=replace(first.allocations, sizes=sizes),
        operations=first.operations.grown(second.operations, grown, span).with_work(work),
        attentions=(),
        basis=f"derived from traces of {first.batch} and {second.batch} images",
    )


def _retold(
    first: StepRecord, second: StepRecord, grown: int, span: int
) -> Iterator[AttentionRecord]:
    """The attentions of another batch."""
    for one, other in zip(first.attentions, second.attentions, strict=True):
        batch = one.sizes.batch
        yield one.at_batch(batch + (other.sizes.batch - batch) * grown // span)


def _grown(one: ModuleRecord, other: ModuleRecord, grown: int, span: int) -> ModuleRecord:
    def number(before: int, after: int) -> int:
        return before + (after - before) * grown // span

    def shape(before: Shape | None, after: Shape | None) -> Shape | None:
        if before is None or after is None:
            return None
        return tuple(number(*sides) for sides in zip(before, after, strict=True))

    return replace(
        one,
        input_shape=shape(one.input_shape, other.input_shape),
        output_shape=shape(one.output_shape, other.output_shape),
        macs_forward=number(one.macs_forward, other.macs_forward),
        macs_step=number(one.macs_step, other.macs_step),
    )
