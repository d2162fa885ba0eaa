"""The maximum: how large one setting may become with all others held, found by bisection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from aabench.cost.traced.batches import BASIS
from aabench.errors import UnknownName, UnsupportedCase, UsageError
from aabench.fitting.budget import Budget
from aabench.fitting.predictor import Predictor
from aabench.fitting.search import largest_that
from aabench.fitting.stages import by_stage
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement, Need, Verdict

RATIO_STEP = Decimal("0.05")
LARGEST_BATCH = 1 << 20
LARGEST_SIDE = 8192
LARGEST_HEADS_LOG2 = 9

SMALLEST = (1, 2, 4, 8, 16)
"""The values, by number, one of which must make a network for a search to begin."""

FINE_SIDES_UP_TO = 64
"""Sides of networks for images of up to so many pixels are searched in steps of 4, others of 32."""


@dataclass(frozen=True, slots=True)
class Step:
    """A setting's value, and what it makes of a subject.

    Attributes:
        value: as people write it.
        subject: with that value.
    """

    value: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class Maximum:
    """The largest value that fits.

    Attributes:
        axis: the setting.
        attention: the form.
        best: the largest value that fits; None where none does.
        judgement: of it; of the smallest value where none fits.
        beyond: the next value; None where the search ends at its own bound.
        beyond_judgement: of that; None where there is no such network.
        why_not: why there is no network beyond, in one sentence; empty where there is.
    """

    axis: str
    attention: str
    best: Step | None
    judgement: Judgement | None
    beyond: Step | None
    beyond_judgement: Judgement | None
    why_not: str = ""


Steps = tuple[Callable[[int], Step], int]
"""A setting's values by number from 1 on, and the last number."""


def maximize(subject: Subject, axis: str, predictor: Predictor, budget: Budget) -> Maximum:
    """The largest value of a setting with which a subject fits.

    Args:
        subject: all else of it is held.
        axis: one of ``AXES``.
        predictor: of the device.
        budget: to be held.

    Raises:
        UnknownName: no such axis.
        UsageError: not even the smallest value makes a network that can be judged.
    """
    if axis not in AXES:
        raise UnknownName("--maximize", axis, AXES)
    step_of, most = AXES[axis](subject, predictor)
    search = _Search(axis, step_of, predictor, budget)
    least, number = search.largest(search.passes, most)
    if number and axis == "batch":
        number = search.settled(number, least, most)
    return search.maximum(subject.attention, number, least, most)


def first_misfit(
    subject: Subject, axis: str, predictor: Predictor, budget: Budget
) -> tuple[Step, Judgement] | None:
    """The smallest value of a setting with which a subject surely does not fit, and its judgement.

    Between it and what ``maximize`` finds lies what is too close to tell. Arguments and errors are
    those of ``maximize``; None where every value may fit.
    """
    step_of, most = AXES[axis](subject, predictor)
    search = _Search(axis, step_of, predictor, budget)
    least, number = search.largest(search.may_pass, most)
    number = max(number + 1, least)
    if number > most or not search.is_judged(number):
        return None
    return step_of(number), search.judge(number)


class _Search:
    """One setting's values being judged."""

    def __init__(
        self, axis: str, step_of: Callable[[int], Step], predictor: Predictor, budget: Budget
    ) -> None:
        self._axis, self._step_of, self._predictor = axis, step_of, predictor
        self._budget = budget
        self._known: dict[int, Judgement] = {}
        self._refused: dict[int, str] = {}

    def largest(self, passes: Callable[[int], bool], most: int) -> tuple[int, int]:
        """The smallest value that there is a network with, and the largest that passes, or 0.

        Raises:
            UsageError, UnsupportedCase: there is no network with any of a few small values.
        """
        # Steps of one image are traced for themselves: they are asked for where two are too many.
        starts = (BASIS[0], 1) if self._axis == "batch" else (1,)
        least = number = 0
        for start in starts:
            least = self._least(start, most)
            number = largest_that(passes, least, most)
            if number:
                break
        return least, number

    def _least(self, start: int, most: int) -> int:
        """The first of a few small values with which there is a network.

        Batch norm cannot train on one image of one pixel, for instance.

        Raises:
            UsageError, UnsupportedCase: there is none with any of them.
        """
        for number in (each for each in SMALLEST if start <= each < most):
            try:
                self.judge(number)
            except (UsageError, UnsupportedCase):
                continue  # the last of them says why
            return number
        last = min(SMALLEST[-1], most)
        self.judge(last)
        return last

    def judge(self, number: int) -> Judgement:
        """The judgement of a value, quickly where the setting is the batch."""
        if number not in self._known:
            self._known[number] = self._judged(number, quickly=self._axis == "batch")
        return self._known[number]

    def passes(self, number: int) -> bool:
        """Whether a value makes a network that fits."""
        return self.is_judged(number) and self.judge(number).fits

    def may_pass(self, number: int) -> bool:
        """Whether a value makes a network of which is not said that it does not fit."""
        if not self.is_judged(number):
            return False
        return self.judge(number).verdict is not Verdict.DOES_NOT_FIT

    def is_judged(self, number: int) -> bool:
        """Whether a value makes a network that can be judged; why not is kept."""
        if number in self._refused:
            return False
        try:
            self.judge(number)
        except UnsupportedCase as error:
            self._refused[number] = error.reason
        except UsageError as error:
            self._refused[number] = str(error)
        return number not in self._refused

    def settled(self, number: int, least: int, most: int) -> int:
        """The answer once it is sure that larger batches follow from smaller ones, or is traced."""
        if self._predictor.grows_evenly(self._step_of(number + 1).subject):
            return number
        for each in (number, number + 1):
            self._known[each] = self._judged(each, quickly=False)
        if self._known[number].fits and not self._known[number + 1].fits:
            return number

        def traced(value: int) -> bool:
            self._known[value] = self._judged(value, quickly=False)
            return self._known[value].fits

        return largest_that(traced, least, most)

    def maximum(self, attention: str, number: int, least: int, most: int) -> Maximum:
        """What was found."""
        beyond = max(number + 1, least) if number < most else None
        if beyond is not None and beyond not in self._known:
            self.passes(beyond)
        why_not = self._refused.get(beyond or 0, "" if beyond else "the search ends there")
        has_step = beyond is not None and beyond not in self._refused
        return Maximum(
            axis=self._axis,
            attention=attention,
            best=self._step_of(number) if number else None,
            judgement=self._known.get(number or least),
            beyond=self._step_of(beyond) if beyond is not None and has_step else None,
            beyond_judgement=self._known.get(beyond or 0),
            why_not=why_not,
        )

    def _judged(self, number: int, *, quickly: bool) -> Judgement:
        subject = self._step_of(number).subject
        predict: Callable[[Subject], Need] = (
            self._predictor.need_by_batches if quickly else self._predictor.need
        )
        return Judgement(predict(subject), self._budget)


def _batches(subject: Subject, predictor: Predictor) -> Steps:
    return lambda number: Step(str(number), replace(subject, batch=number)), LARGEST_BATCH


def _resolutions(subject: Subject, predictor: Predictor) -> Steps:
    _, height, width = subject.source.input_size
    step = 4 if max(height, width) <= FINE_SIDES_UP_TO else 32

    def at(number: int) -> Step:
        side = number * step
        return Step(f"{side}x{side}", subject.with_network(resolution=(side, side)))

    return at, LARGEST_SIDE // step


def _ratios(name: str) -> Callable[[Subject, Predictor], Steps]:
    def values(subject: Subject, predictor: Predictor) -> Steps:
        def at(number: int) -> Step:
            ratio = str(number * RATIO_STEP)
            return Step(ratio, subject.with_network(**{name: ratio}))

        return at, int(1 / RATIO_STEP)

    return values


def _heads(subject: Subject, predictor: Predictor) -> Steps:
    """Powers of two, as long as every layer has room for them."""
    layers = len(predictor.built(subject.source).layers)

    def at(number: int) -> Step:
        heads = 2 ** (number - 1)
        changed = subject.with_network(heads=heads)
        if len(predictor.built(changed.source).layers) < layers:
            raise UsageError(f"{heads} heads leave some layers without a value channel for each")
        return Step(str(heads), changed)

    return at, LARGEST_HEADS_LOG2 + 1


def _stages(subject: Subject, predictor: Predictor) -> Steps:
    """The last stages augmented, one after another."""
    names = [layer.name for layer in predictor.built(subject.source).layers]
    stages = list(by_stage(names).values())

    def at(number: int) -> Step:
        chosen = frozenset(name for stage in stages[-number:] for name in stage)
        layers = None if number == len(stages) else chosen
        return Step(f"{number} of {len(stages)}", replace(subject, layers=layers))

    return at, len(stages)


AXES: dict[str, Callable[[Subject, Predictor], Steps]] = {
    "batch": _batches,
    "resolution": _resolutions,
    "kappa": _ratios("kappa"),
    "upsilon": _ratios("upsilon"),
    "heads": _heads,
    "stages": _stages,
}
"""What ``--maximize`` takes, and the values of each."""
