"""The fit: the whole answer on one network and one budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aabench.errors import UsageError
from aabench.fitting.budget import Budget
from aabench.fitting.forms import (
    FormVerdict,
    form_names,
    judge_form,
    preferred_form,
)
from aabench.fitting.frames import forms_frame, judged, layers_frame, maxima_frame, remedies_frame
from aabench.fitting.layer_sets import LayerSets, count_last_layers, judge_layers
from aabench.fitting.maximum import Maximum, Step, first_misfit, maximize
from aabench.fitting.plans import DEFAULT_FILE, plan_of, python_lines
from aabench.fitting.predictor import Predictor
from aabench.fitting.remedies import ANOTHER_FORM, Remedy, find_remedies
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement, Verdict
from aabench.measuring.garbage_collection import collection_paused
from aabench.networks.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

SEVERITY = (Verdict.FITS, Verdict.TOO_CLOSE, Verdict.DOES_NOT_FIT)
"""The verdicts, best first."""


@dataclass(frozen=True, eq=False)
class Fit:
    """What fits of one network within one budget; every figure is predicted, none measured.

    Attributes:
        subject: what was asked, by the form that the layers and remedies are told of.
        device: what it is predicted for, as tables call it.
        budget: what there is.
        asked_form: whether only one form was asked for.
        plain: the network without attention.
        forms: the fully augmented network by attention form.
        sets: which layers fit, by the subject's form; None where there is nothing to take away.
        last_layers: the number of last layers that fit together, by form.
        remedies: changes that make it need less, those that fit and change least first.
        maxima: where that was asked, the largest value of a setting by form.
        chosen: what was found to fit and changes least; None where nothing did.
        notes: what was not taken as it was asked for.
    """

    subject: Subject
    device: str
    budget: Budget
    asked_form: bool
    plain: Judgement
    forms: tuple[FormVerdict, ...]
    sets: LayerSets | None
    last_layers: dict[str, int]
    remedies: tuple[Remedy, ...]
    maxima: tuple[Maximum, ...]
    chosen: Subject | None
    _predictor: Predictor
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """On the fully augmented network; by the form asked for, else by the best one.

        Where a setting was maximized, whether any value of it fits.
        """
        if self.maxima:
            is_found = any(each.best is not None for each in self.maxima)
            return Verdict.FITS if is_found else Verdict.DOES_NOT_FIT
        verdicts = [each.judgement.verdict for each in self.forms if each.judgement]
        return min(verdicts, key=SEVERITY.index)

    @property
    def least_change(self) -> Remedy | None:
        """The remedy that fits and changes least; None where none does."""
        return next((each for each in self.remedies if each.judgement.fits), None)

    @property
    def plan(self) -> Plan:
        """How to augment the network so that it fits.

        Raises:
            UsageError: nothing was found to fit.
        """
        if self.chosen is None:
            raise UsageError(
                "there is no plan, since nothing that was tried fits",
                got=f"{self.budget.usable_bytes} bytes",
                instead="give a larger budget",
            )
        plan = self.plan_for(self.chosen)
        if plan is None:
            raise UsageError(
                "there is no plan for a network that augment() has no part in",
                got=self.chosen.source.name,
                instead="build it by its name",
            )
        return plan

    @property
    def has_plan(self) -> bool:
        """Whether there is a ``plan``."""
        return self.chosen is not None and self.plan_for(self.chosen) is not None

    def plan_for(self, subject: Subject) -> Plan | None:
        """The plan of any subject of the same kind of network; None where no layer is to be chosen."""
        has_layers = bool(self._predictor.built(subject.source).layers)
        return plan_of(subject, self._predictor) if has_layers else None

    @property
    def plain_row(self) -> dict[str, Any]:
        """The network without attention, with the columns that every judgement has."""
        return judged(self.plain)

    def first_misfit(self, maximum: Maximum) -> tuple[Step, Judgement] | None:
        """The smallest value of a maximized setting of which is said that it does not fit."""
        subject = replace(self.subject, attention=maximum.attention)
        return first_misfit(subject, maximum.axis, self._predictor, self.budget)

    def lines(self, file: str = DEFAULT_FILE) -> str:
        """Python that builds what was found to fit, from a file of ``plan`` if there is one."""
        if self.chosen is None:
            return ""
        source = self.chosen.source
        return (
            python_lines(self.plan, source.recipe(), file) if self.has_plan else source.own_recipe()
        )

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per layer, in the network's order, by the form of ``subject``; units are bytes."""
        layers = self.sets.layers if self.sets is not None else ()
        return layers_frame(layers, self.sets, self.subject.attention, self._peak_bytes)

    @cached_property
    def stages_frame(self) -> pd.DataFrame:
        """The same by stage."""
        stages = self.sets.stages if self.sets is not None else ()
        return layers_frame(stages, self.sets, self.subject.attention, self._peak_bytes)

    @cached_property
    def forms_frame(self) -> pd.DataFrame:
        """One row per attention form, fully augmented; units are bytes."""
        return forms_frame(self.forms, self.last_layers)

    @cached_property
    def remedies_frame(self) -> pd.DataFrame:
        """One row per remedy, in their order; units are bytes."""
        return remedies_frame(self.remedies)

    @cached_property
    def maxima_frame(self) -> pd.DataFrame:
        """One row per form, where a setting was maximized; units are bytes."""
        return maxima_frame(self.maxima)

    @property
    def _peak_bytes(self) -> int:
        return self._predictor.step(self.subject).peak_bytes


def find_fit(
    subject: Subject, predictor: Predictor, budget: Budget, axis: str | None = None
) -> Fit:
    """Judge a network, find what fits of it, and what to change so that all of it does.

    Args:
        subject: fully augmented; where its form is ``auto`` every exact form is judged.
        predictor: of the device.
        budget: to be held.
        axis: a setting to maximize instead of looking for remedies.

    Raises:
        UsageError: the network cannot be built or traced.
    """
    with collection_paused():  # which would look at every operation of every step again and again
        return _Finding(subject, predictor, budget).answer(axis)


class _Finding:
    """One network being judged."""

    def __init__(self, subject: Subject, predictor: Predictor, budget: Budget) -> None:
        self._predictor, self._budget = predictor, budget
        self._built = predictor.built(subject.source)
        self._is_one_form = subject.attention != "auto" or not self._built.layers
        self._asked = subject

    def answer(self, axis: str | None) -> Fit:
        """The whole answer."""
        plain = Judgement(self._predictor.need(self._asked.plain()), self._budget)
        forms = self._forms()
        detail = self._detail(forms)
        subject = replace(self._asked, attention=detail.attention)
        sets = self._sets(detail)
        remedies = () if detail.fits or axis else self._remedies(subject, sets, forms)
        return Fit(
            subject=subject,
            device=self._predictor.target.label,
            budget=self._budget,
            asked_form=self._is_one_form,
            plain=plain,
            forms=forms,
            sets=sets,
            last_layers=self._last_counts(forms),
            remedies=remedies,
            maxima=self._maxima(axis, forms),
            chosen=self._chosen(forms, remedies),
            _predictor=self._predictor,
        )

    def _forms(self) -> tuple[FormVerdict, ...]:
        names = [self._asked.attention] if self._is_one_form else form_names()
        forms = tuple(
            judge_form(replace(self._asked, attention=name), self._predictor, self._budget)
            for name in names
        )
        if not any(each.judgement for each in forms):
            raise UsageError(
                "no attention form can be judged there",
                got="; ".join(f"{each.attention}: {each.problem}" for each in forms),
            )
        return forms

    def _detail(self, forms: Sequence[FormVerdict]) -> FormVerdict:
        """The form whose layers are told of.

        The first that does not fit if another does, since that is the one to be changed; if none does
        the one that needs least; if all do the one to be chosen.
        """
        judged = [each for each in forms if each.judgement]
        misfits = [each for each in judged if not each.fits]
        if not misfits:
            return self._best(forms)
        if len(misfits) < len(judged):
            return misfits[0]
        return min(misfits, key=self._needed)

    def _best(self, forms: Sequence[FormVerdict]) -> FormVerdict:
        """Of the forms that fit the one that ``auto`` takes, else that which needs least."""
        fitting = [each for each in forms if each.fits]
        preferred = preferred_form(self._predictor.target.device_type)
        found = [each for each in fitting if each.attention == preferred]
        return found[0] if found else min(fitting, key=self._needed)

    def _needed(self, form: FormVerdict) -> tuple[int, bool]:
        """Sorts what needs least to the front; of equal ones the form that ``auto`` takes."""
        assert form.judgement is not None
        preferred = preferred_form(self._predictor.target.device_type)
        return form.judgement.needed_bytes, form.attention != preferred

    def _sets(self, form: FormVerdict) -> LayerSets | None:
        if not self._built.layers:
            return None
        subject = replace(self._asked, attention=form.attention)
        return judge_layers(subject, self._predictor, self._budget)

    def _last_counts(self, forms: Sequence[FormVerdict]) -> dict[str, int]:
        every = len(self._built.layers)
        return {
            each.attention: every
            if each.fits
            else count_last_layers(
                replace(self._asked, attention=each.attention), self._predictor, self._budget
            )
            for each in forms
            if each.judgement and every
        }

    def _remedies(
        self, subject: Subject, sets: LayerSets | None, forms: Sequence[FormVerdict]
    ) -> tuple[Remedy, ...]:
        """Of the subject; where none helps and another form needs less, of that as well."""
        remedies = find_remedies(subject, self._predictor, self._budget, sets)
        if any(each.judgement.fits for each in remedies):
            return remedies
        others = [each for each in remedies if each.kind == ANOTHER_FORM]
        if not others:
            return remedies
        least = min(others, key=lambda each: each.judgement.needed_bytes)
        if (
            least.judgement.needed_bytes
            >= Judgement(self._predictor.need(subject), self._budget).needed_bytes
        ):
            return remedies
        further_sets = judge_layers(least.subject, self._predictor, self._budget)
        further = find_remedies(
            least.subject, self._predictor, self._budget, further_sets, asked=subject
        )
        added = tuple(
            replace(each, change=f"{least.change}, {each.change}")
            for each in further
            if each.kind != ANOTHER_FORM
        )
        return tuple(sorted((*remedies, *added), key=lambda each: each.rank))

    def _maxima(self, axis: str | None, forms: Sequence[FormVerdict]) -> tuple[Maximum, ...]:
        if axis is None:
            return ()
        return tuple(
            maximize(
                replace(self._asked, attention=each.attention),
                axis,
                self._predictor,
                self._budget,
            )
            for each in forms
            if each.judgement
        )

    def _chosen(self, forms: Sequence[FormVerdict], remedies: Sequence[Remedy]) -> Subject | None:
        """What the least change leads to; where nothing needs to be changed, the best form."""
        least = next((each.subject for each in remedies if each.judgement.fits), None)
        if least is None and any(each.fits for each in forms):
            return replace(self._asked, attention=self._best(forms).attention)
        return least
