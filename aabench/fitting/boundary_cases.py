"""The boundary cases of a fit: the verdicts that one would try out first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from aabench.fitting.fit import Fit
from aabench.fitting.maximum import Step
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement


@dataclass(frozen=True, slots=True)
class BoundaryCase:
    """One verdict.

    Attributes:
        what: it is about, in words.
        subject: that it is on.
        judgement: the verdict.
    """

    what: str
    subject: Subject
    judgement: Judgement


def boundary_cases(found: Fit) -> list[BoundaryCase]:
    """What to try of a fit: what just fits, and one step beyond.

    Where a setting was maximized, its largest value, the next one and the first that surely does not
    fit, by form. Else the largest set of
    last layers and the same with one layer more, by the form that layers are told of, and the full
    network by every form.
    """
    if found.maxima:
        return list(_of_maxima(found))
    return [*_of_sets(found), *_of_forms(found)]


def _of_maxima(found: Fit) -> Iterator[BoundaryCase]:
    for each in found.maxima:
        misfit = found.first_misfit(each)
        cases: dict[str, tuple[Step, Judgement]] = {}
        if each.best is not None and each.judgement is not None:
            cases[each.best.value] = each.best, each.judgement
        if each.beyond is not None and each.beyond_judgement is not None:
            cases[each.beyond.value] = each.beyond, each.beyond_judgement
        if misfit is not None:
            cases[misfit[0].value] = misfit
        for value, (step, judgement) in cases.items():
            yield BoundaryCase(f"{each.axis} {value}, {each.attention}", step.subject, judgement)


def _of_sets(found: Fit) -> Iterator[BoundaryCase]:
    layers = found.sets.layers if found.sets is not None else ()
    fitting = len(found.sets.from_last) if found.sets is not None else 0
    for count in (fitting, fitting + 1):
        if 0 < count < len(layers):
            chosen = layers[-count:]
            subject = replace(found.subject, layers=frozenset(each.name for each in chosen))
            what = f"last {count} layers, {found.subject.attention}"
            yield BoundaryCase(what, subject, chosen[0].with_deeper)


def _of_forms(found: Fit) -> Iterator[BoundaryCase]:
    for form in found.forms:
        if form.judgement is not None:
            subject = replace(found.subject, attention=form.attention)
            yield BoundaryCase(f"all layers, {form.attention}", subject, form.judgement)
