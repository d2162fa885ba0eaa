"""Sets of layers: which augmented layers of a network fit a budget, alone and together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aabench.cases.case import Layer
from aabench.cost.traced.traced_step import TracedModule
from aabench.fitting.budget import Budget
from aabench.fitting.predictor import Predictor
from aabench.fitting.stages import by_stage, stage_of
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LayerVerdict:
    """One augmented layer, or all of a stage.

    Attributes:
        name: of the module.
        stage: of the module that stands for its stage; of a stage, its own.
        layer: what it is; of a stage, its largest map's.
        count: augmented layers in it.
        bytes_at_peak: of the fully augmented step's peak, what it allocated.
        alone: with no other layer augmented.
        with_deeper: with all layers behind it augmented too.
    """

    name: str
    stage: str
    layer: Layer
    count: int
    bytes_at_peak: int
    alone: Judgement
    with_deeper: Judgement


@dataclass(frozen=True, slots=True)
class LayerSets:
    """What of a network can be augmented within a budget, by one attention form.

    Attributes:
        layers: every augmented layer, in the network's order.
        stages: the same by stage.
        from_last: the largest set that fits, added from the last layer backwards as the papers do.
        best_use: the largest set found that fits, whichever layers these are; never a smaller one.
    """

    layers: tuple[LayerVerdict, ...]
    stages: tuple[LayerVerdict, ...]
    from_last: tuple[str, ...]
    best_use: tuple[str, ...]


def judge_layers(subject: Subject, predictor: Predictor, budget: Budget) -> LayerSets:
    """Judge every layer of a network, and find the largest sets that fit.

    Args:
        subject: fully augmented.
        predictor: of the device.
        budget: to be held.

    Raises:
        UsageError, UnsupportedCase: as ``Predictor.step`` does.
    """
    return _Search(subject, predictor, budget).answer()


def count_last_layers(subject: Subject, predictor: Predictor, budget: Budget) -> int:
    """How many of a network's last layers fit together; arguments and errors as ``judge_layers``."""
    return _Search(subject, predictor, budget).last_count()


class _Search:
    """The layers of one network by one form."""

    def __init__(self, subject: Subject, predictor: Predictor, budget: Budget) -> None:
        self._subject, self._predictor, self._budget = subject, predictor, budget
        self._found = predictor.built(subject.source).layers
        self._names = [each.name for each in self._found]
        self._modules = {each.name: each for each in predictor.step(subject).modules}

    def answer(self) -> LayerSets:
        """All verdicts and the largest sets."""
        groups = [(name,) for name in self._names]
        layers = self._judged(groups, self._names)
        stages = by_stage(self._names)
        whole = self._judged(list(stages.values()), list(stages))
        from_last = self._largest(
            [tuple(self._names[first:]) for first in range(len(self._names) + 1)]
        )
        best = from_last if len(from_last) == len(self._names) else self._largest([self._greedy()])
        return LayerSets(layers, whole, from_last, max(from_last, best, key=len))

    def last_count(self) -> int:
        """How many of the last layers fit together."""
        judgements = self._judgements([self._names[first:] for first in range(len(self._names))])
        fitting = (place for place, judgement in enumerate(judgements) if judgement.fits)
        return len(self._names) - next(fitting, len(self._names))

    def _judged(
        self, groups: Sequence[tuple[str, ...]], names: Sequence[str]
    ) -> tuple[LayerVerdict, ...]:
        alone = self._judgements(groups)
        behind = [
            tuple(name for group in groups[place:] for name in group)
            for place in range(len(groups))
        ]
        layer_of = {each.name: each.layer for each in self._found}
        return tuple(
            LayerVerdict(
                name=name,
                stage=stage_of(group[0], self._names),
                layer=max((layer_of[each] for each in group), key=lambda layer: layer.tokens),
                count=len(group),
                bytes_at_peak=sum(self._module(each).bytes_at_peak for each in group),
                alone=one,
                with_deeper=deeper,
            )
            for name, group, one, deeper in zip(
                names, groups, alone, self._judgements(behind), strict=True
            )
        )

    def _module(self, name: str) -> TracedModule:
        return self._modules[name]

    def _judgements(self, sets: Sequence[Iterable[str]]) -> list[Judgement]:
        needs = self._predictor.needs_of_sets(self._subject, self._mask(sets))
        return [Judgement(need, self._budget) for need in needs]

    def _mask(self, sets: Sequence[Iterable[str]]) -> Bools:
        mask = np.zeros((len(sets), len(self._names)), bool)
        place = {name: number for number, name in enumerate(self._names)}
        for row, names in enumerate(sets):
            mask[row, [place[name] for name in names]] = True
        return mask

    def _largest(self, sets: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        """The first of some sets, the largest first, that fits; traced as it is before it is said."""
        for names, judgement in zip(sets, self._judgements(sets), strict=True):
            if names and judgement.fits and self._traced(names).fits:
                return names
        return ()

    def _traced(self, names: tuple[str, ...]) -> Judgement:
        layers = None if len(names) == len(self._names) else frozenset(names)
        need = self._predictor.need(replace(self._subject, layers=layers))
        return Judgement(need, self._budget)

    def _greedy(self) -> tuple[str, ...]:
        """Layers added one by one, each time the one that needs least more; ties by FLOPs."""
        chosen: list[str] = []
        left = list(self._names)
        while left:
            sets = [(*chosen, name) for name in left]
            judgements = self._judgements(sets)
            best = min(
                range(len(left)),
                key=lambda place: (
                    judgements[place].needed_bytes,
                    self._module(left[place]).macs_step,
                ),
            )
            if not judgements[best].fits:
                break
            chosen.append(left.pop(best))
        return tuple(name for name in self._names if name in chosen)
