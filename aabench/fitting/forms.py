"""The forms: which ways of computing the attention a device can run, and what each of them needs."""

from __future__ import annotations

from dataclasses import dataclass

from aabench.cases.catalogue import ATTENTIONS
from aabench.cases.choice import CANDIDATES
from aabench.cost.bands import Band
from aabench.cost.target import Target
from aabench.errors import UnsupportedCase, UsageError
from aabench.fitting.budget import Budget
from aabench.fitting.predictor import Predictor
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement

OLDEST_CAPABILITY = {"flex": (8, 0), "triton": (8, 0)}
"""The compute capability from which a form runs; those not named run everywhere, or say so themselves."""


@dataclass(frozen=True, slots=True)
class FormVerdict:
    """A fully augmented network by one attention form.

    Attributes:
        attention: the form.
        judgement: None where it does not run.
        problem: why it does not run, in one sentence; empty where it does.
        flops: of the step as executed.
        latency: seconds of the step; None where nothing is known of how fast the device is.
    """

    attention: str
    judgement: Judgement | None
    problem: str = ""
    flops: int = 0
    latency: Band | None = None

    @property
    def fits(self) -> bool:
        """Whether it runs and fits."""
        return self.judgement is not None and self.judgement.fits


def judge_form(subject: Subject, predictor: Predictor, budget: Budget) -> FormVerdict:
    """The verdict on a subject by its form; a form that does not run there is no error."""
    problem = device_problem(subject.attention, predictor.target)
    if problem:
        return FormVerdict(subject.attention, None, problem)
    try:
        need = predictor.need(subject)
    except UnsupportedCase as error:
        return FormVerdict(subject.attention, None, error.reason)
    except UsageError as error:
        return FormVerdict(subject.attention, None, str(error))
    return FormVerdict(
        subject.attention,
        Judgement(need, budget),
        flops=predictor.step(subject).flops,
        latency=predictor.latency(subject),
    )


def form_names() -> list[str]:
    """The exact forms that come with the package, and those that others have registered."""
    return ATTENTIONS.names()


def device_problem(attention: str, target: Target) -> str:
    """Why a form does not run on a device at all, in one sentence; empty if it does."""
    oldest = OLDEST_CAPABILITY.get(attention)
    if oldest is None:
        return ""
    if target.device_type != "cuda":
        return "it runs on CUDA cards only"
    if target.capability is not None and target.capability < oldest:
        return "it needs compute capability {}.{} or newer, and this is {}.{}".format(
            *oldest, *target.capability
        )
    return ""


PREFERRED = {"cpu": "blocked", "cuda": "factored"}
"""What ``auto`` stands for on a device, where positions are relative (``aabench.cases.choice``)."""


def is_chosen_by_auto(attention: str) -> bool:
    """Whether ``auto`` stands for a form anywhere: those that were measured to be best somewhere."""
    return attention in CANDIDATES


def preferred_form(device_type: str) -> str | None:
    """The form that ``auto`` takes on a type of device."""
    return PREFERRED.get(device_type)
