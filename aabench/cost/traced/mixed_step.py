"""The mixed step: a network with some of its layers replaced, from the traces of none and of all.

Of a step with all layers replaced, most blocks are those of the step with none: they are found by
their owner, kind and size. The others belong to one replaced layer each, and are there or not as it
is. So the peaks of any mixture follow from two traces, and thousands of mixtures cost what one trace
costs. With none and with all replaced the answers are the traces' own; between them they are
estimates where a block comes or goes because of two layers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from aabench.cost.traced.allocations import NEVER
from aabench.cost.traced.step_record import StepRecord

COMMON = -1
"""Stands for the layer of a block that no layer decides about."""

SETS_AT_ONCE = 64
"""Mixtures whose timelines are held in memory together."""

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class MixedSteps:
    """All mixtures of two steps.

    Attributes:
        layers: the names of the modules that may be replaced, in an order of the caller's.
        sizes: bytes of each block, of either step.
        deciding: the place in ``layers`` of the layer that decides whether it is there, or COMMON.
        when_replaced: whether it is there if that layer is replaced, or if it is not.
        in_base: whether it is there before the step.
        event_blocks: the block of each coming and going, in the order in which they happen.
        event_signs: 1 where it comes, -1 where it goes.
    """

    layers: tuple[str, ...]
    sizes: Ints
    deciding: Ints
    when_replaced: Bools
    in_base: Bools
    event_blocks: Ints
    event_signs: Ints

    @classmethod
    def of(cls, none: StepRecord, every: StepRecord, layers: Sequence[str]) -> MixedSteps:
        """The mixtures of a step with no layer replaced and the same with all of them replaced.

        Args:
            none: of the plain network.
            every: of the network with all of ``layers`` replaced, same batch and settings.
            layers: module names that both networks have.
        """
        return _Mixing(_Story.of(none, layers), _Story.of(every, layers)).mixed(tuple(layers))

    def peaks(self, replaced: Bools) -> tuple[Ints, Ints]:
        """Bytes before the step and at its peak, for several mixtures.

        Args:
            replaced: (mixtures, layers), whether each layer is replaced.

        Returns:
            Two columns with one entry a mixture.
        """
        chunks = [
            self._peaks(replaced[first : first + SETS_AT_ONCE])
            for first in range(0, len(replaced), SETS_AT_ONCE)
        ]
        base, peak = zip(*chunks, strict=True)
        return np.concatenate(base), np.concatenate(peak)

    def _peaks(self, replaced: Bools) -> tuple[Ints, Ints]:
        # A column of zeros at the end, so that COMMON finds one too.
        chosen = np.pad(replaced, ((0, 0), (0, 1)))
        there = (chosen[:, self.deciding] == self.when_replaced) | (self.deciding == COMMON)
        sizes = np.where(there, self.sizes, 0)
        levels = np.cumsum(sizes[:, self.event_blocks] * self.event_signs, axis=1)
        return sizes[:, self.in_base].sum(axis=1), levels.max(axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Story:
    """The blocks of one step in the order in which they come.

    Attributes:
        sizes: bytes, rounded as the allocator does.
        layers: the layer inside which each was allocated, or COMMON.
        marks: what blocks of two steps are told to be the same by: owner's name, kind and size.
        anchors: the block after whose coming each goes, or -1 if it stays.
        in_base: whether each is there before the step.
        is_backward: whether it comes after the forward pass.
    """

    sizes: Ints
    layers: Ints
    marks: list[tuple[str, int, int]]
    anchors: Ints
    in_base: Bools
    is_backward: Bools

    @classmethod
    def of(cls, record: StepRecord, names: Sequence[str]) -> _Story:
        blocks = record.allocations
        order = np.argsort(blocks.born, kind="stable")
        born, died = blocks.born[order], blocks.died[order]
        sizes = blocks.rounded(record.settings.granularity)[order]
        layer_of = [_layer_of(module.name, names) for module in record.modules]
        owners = blocks.owners[order]
        modules, kinds = record.modules, blocks.kinds[order]
        # The block that came last before a moment was over.
        last = np.searchsorted(born, np.where(died == NEVER, -1, died), side="right") - 1
        forward_end = record.starts[1][1] if len(record.starts) > 1 else NEVER
        return cls(
            sizes=sizes,
            layers=np.array(layer_of, np.int64)[owners],
            marks=[
                (modules[owner].name, int(kind), int(size))
                for owner, kind, size in zip(owners, kinds, sizes, strict=True)
            ],
            anchors=np.where(died == NEVER, -1, last),
            in_base=born <= record.starts[0][1],
            is_backward=born > forward_end,
        )


def _layer_of(module: str, names: Sequence[str]) -> int:
    """The place of the layer that a module is, or is inside of."""
    return next(
        (place for place, name in enumerate(names) if module == name or _inside(module, name)),
        COMMON,
    )


def _inside(module: str, layer: str) -> bool:
    return module.startswith(layer + ".")


class _Mixing:
    """Two stories being told as one."""

    def __init__(self, none: _Story, every: _Story) -> None:
        self._stories = (none, every)
        self._partner = self._matched()
        self._deciding = tuple(
            _decided(story, partner)
            for story, partner in zip(self._stories, self._partner, strict=True)
        )
        self._places = self._merged()

    def mixed(self, layers: tuple[str, ...]) -> MixedSteps:
        """The two as one."""
        none, every = self._stories
        parts = [self._common(), self._differing(none, 0), self._differing(every, 1)]
        sizes, deciding, replaced, in_base, births, deaths = (
            np.concatenate([part[column] for part in parts]) for column in range(6)
        )
        stays = deaths < 0
        blocks = np.arange(len(sizes))
        times = np.concatenate([births, deaths[~stays]])
        event_blocks = np.concatenate([blocks, blocks[~stays]])
        signs = np.repeat([1, -1], [len(blocks), len(blocks) - int(stays.sum())])
        order = np.argsort(times, kind="stable")
        return MixedSteps(
            layers,
            sizes,
            deciding,
            replaced.astype(bool),
            in_base.astype(bool),
            event_blocks[order],
            signs[order],
        )

    def _matched(self) -> tuple[Ints, Ints]:
        """For the blocks of each story their place in the other; -1 for those that are not there."""
        none, every = self._stories
        common = [np.flatnonzero(story.layers == COMMON) for story in self._stories]
        marks = [
            [story.marks[place] for place in places]
            for story, places in zip(self._stories, common, strict=True)
        ]
        partner = np.full(len(none.sizes), -1), np.full(len(every.sizes), -1)
        matcher = SequenceMatcher(None, marks[0], marks[1], autojunk=False)
        for first, second, count in matcher.get_matching_blocks():
            here, there = common[0][first : first + count], common[1][second : second + count]
            partner[0][here], partner[1][there] = there, here
        return partner

    def _merged(self) -> tuple[Ints, Ints]:
        """The place of every block of either story in one order; matched blocks share theirs."""
        none, every = self._stories
        places = np.zeros(len(none.sizes), np.int64), np.zeros(len(every.sizes), np.int64)
        following, begun = 0, [0, 0]
        shared = np.flatnonzero(self._partner[0] >= 0)
        pairs = [(int(place), int(self._partner[0][place])) for place in shared]
        for ends in [*pairs, (len(none.sizes), len(every.sizes))]:
            for which, place in self._between(begun, ends):
                places[which][place] = following
                following += 1
            if ends[0] < len(none.sizes):
                places[0][ends[0]] = places[1][ends[1]] = following
                following += 1
            begun = [ends[0] + 1, ends[1] + 1]
        return places

    def _between(self, begun: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
        """The blocks between two shared ones: those of a layer together, in the layers' order."""
        runs: dict[int, list[tuple[int, int]]] = {}
        for which in (1, 0):
            for place in range(begun[which], ends[which]):
                runs.setdefault(int(self._deciding[which][place]), []).append((which, place))
        return [block for run in runs.values() for block in run]

    def _common(self) -> tuple[NDArray[np.int64 | np.bool_], ...]:
        """Blocks that both stories have and that go at the same time in both."""
        none, _ = self._stories
        here = np.flatnonzero(self._same_end())
        deaths = self._deaths(0)[here]
        nothing = np.full(len(here), COMMON)
        births = 2 * self._places[0][here]
        return none.sizes[here], nothing, nothing > 0, none.in_base[here], births, deaths

    def _differing(self, story: _Story, which: int) -> tuple[NDArray[np.int64 | np.bool_], ...]:
        """Blocks that only one story has, or that go at another time in it than in the other."""
        same = self._same_end()
        alone = np.ones(len(story.sizes), bool)
        alone[np.flatnonzero(same) if which == 0 else self._partner[0][same]] = False
        here = np.flatnonzero(alone)
        deciding = self._deciding[which][here].copy()
        shared = self._partner[which][here] >= 0
        deciding[shared] = [self._end_decided_by(which, int(place)) for place in here[shared]]
        births, deaths = 2 * self._places[which][here], self._deaths(which)[here]
        replaced = np.full(len(here), which == 1)
        return story.sizes[here], deciding, replaced, story.in_base[here], births, deaths

    def _deaths(self, which: int) -> Ints:
        """The time at which each block goes: right after its anchor comes; -1 if it stays."""
        anchors = self._stories[which].anchors
        return np.where(anchors < 0, -1, 2 * self._places[which][anchors] + 1)

    def _same_end(self) -> Bools:
        """Which blocks of the plain story are in the other too, and go at the same time."""
        shared = self._partner[0] >= 0
        other = np.where(shared, self._deaths(1)[self._partner[0]], -2)
        return np.asarray(shared & (other == self._deaths(0)))

    def _end_decided_by(self, which: int, place: int) -> int:
        """The layer whose blocks lie between the two times at which a shared block goes."""
        other = int(self._partner[which][place])
        ends = self._stories[which].anchors[place], self._stories[1 - which].anchors[other]
        for story, anchor in zip((which, 1 - which), ends, strict=True):
            if anchor >= 0 and self._deciding[story][anchor] != COMMON:
                return int(self._deciding[story][anchor])
        # Neither goes beside a layer: the one that follows in the story that it goes first in.
        return int(_nearest_layer(self._stories[which], int(ends[0])))


def _decided(story: _Story, partner: Ints) -> Ints:
    """The layer that decides whether each block is there; COMMON of those in both stories."""
    deciding = story.layers.copy()
    for place in np.flatnonzero((story.layers == COMMON) & (partner < 0)):
        deciding[place] = _nearest_layer(story, int(place))
    return deciding


def _nearest_layer(story: _Story, place: int) -> int:
    """The layer that ran just before a block of the forward pass; of the backward, that runs next."""
    inside = np.flatnonzero(story.layers != COMMON)
    if not len(inside):
        return COMMON
    index = int(np.searchsorted(inside, place))
    if not story.is_backward[place]:
        index -= 1
    return int(story.layers[inside[min(max(index, 0), len(inside) - 1)]])
