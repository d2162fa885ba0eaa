"""The cases that people met, predicted: which of them a card could have held, by form."""

import pytest

import aabench
from aabench.cases.card import Card
from aabench.cases.network import Network
from aabench.cost.target import Target
from aabench.cost.timeline import CUDA_GRANULE
from aabench.cost.traced.step_settings import StepSettings
from aabench.fitting.budget import Budget
from aabench.fitting.predictor import Predictor
from aabench.fitting.source import NamedNetwork
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement, Verdict

EARLY = {"augment": "layer1.*.conv2", "kappa": "0.25", "upsilon": "0.25", "heads": 8}
"""The stage at 56 of 224 px, which the papers had to leave out."""


CARD = Card.of("v100-16gb")


@pytest.fixture(scope="module")
def predictor():
    return Predictor(Target.of_card(CARD))


def verdict(predictor, name, side, form, batch, **changes):
    """That on one step of a network, and no remedies."""
    source = NamedNetwork(Network(name, 3, side, side, **changes))
    settings = StepSettings(
        mode="train", granularity=CUDA_GRANULE, device_type="cuda", capability=CARD.capability
    )
    need = predictor.need(Subject(source, form, batch, settings))
    return Judgement(need, Budget.of(None, card=CARD)).verdict


@pytest.fixture(scope="module")
def largest_batches():
    found = aabench.fit("aa-resnet50", batch=32, mode="train", gpu="v100-16gb", maximize="batch")
    return {each.attention: each for each in found.maxima}


def test_resnet_50_trains_on_more_images_without_maps(largest_batches):
    batches = {form: int(each.best.value) for form, each in largest_batches.items()}
    assert 100 < batches["materialized"] < batches["factored"] < batches["blocked"] < 130


@pytest.mark.parametrize("form", ["materialized", "blocked"])
def test_the_batch_that_was_found_is_the_one_that_its_own_trace_allows(form, largest_batches):
    found, fresh = largest_batches[form], Predictor(Target.of_card(CARD))
    assert fresh.need(found.best.subject) == found.judgement.need
    assert fresh.need(found.beyond.subject) == found.beyond_judgement.need
    assert found.judgement.fits and not found.beyond_judgement.fits


def test_the_stage_at_56_px_is_possible_without_maps(predictor):
    case = ("resnet50", 224)
    assert verdict(predictor, *case, "materialized", 32, **EARLY) is Verdict.DOES_NOT_FIT
    assert verdict(predictor, *case, "blocked", 32, **EARLY) is Verdict.FITS


def test_retinanet_at_640_px_trains_on_twice_the_images_without_maps(predictor):
    for form, fitting in (("materialized", 6), ("blocked", 12)):
        case = ("aa-retinanet-resnet50", 640, form)
        assert verdict(predictor, *case, fitting) is Verdict.FITS
        assert verdict(predictor, *case, fitting + 1) is not Verdict.FITS
