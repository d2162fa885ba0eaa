"""What remedies cost: their predicted times, the order that follows, and what is known without times."""

import numpy as np
import pytest
from small_models import INPUT_SIZE, OPTIONS, Small

import aabench
from aabench.cases.card import Card
from aabench.cost.target import Target
from aabench.fitting.predictor import Predictor, process_need
from aabench.fitting.remedies import ANOTHER_FORM

LATENCY = ["predicted_latency_low_s", "predicted_latency_s", "predicted_latency_high_s"]


def fit_small(budget, **changes):
    asked = {"batch": 256, "mode": "train", "gpu": "t4-16gb", **OPTIONS, **changes}
    return aabench.fit(Small(), layers="*.conv", input_size=INPUT_SIZE, budget=budget, **asked)


@pytest.fixture(scope="module")
def between():
    """A budget that the forms without maps hold, and those with maps do not."""
    return fit_small("3GiB")


def test_every_remedy_has_a_time_and_says_how_sure_it_is(between):
    frame = between.remedies_frame
    assert {"another form", "checkpointing", "smaller batch", "fewer layers"} <= set(frame["kind"])
    assert (frame["time_ratio"] > 0).all()
    low, mid, high = (frame[name] for name in LATENCY)
    assert (low < mid).all() and (mid < high).all()
    assert between.plain.need.basis == "never checked on a card"
    asked = between.forms_frame.set_index("attention")["predicted_latency_s"]
    by_change = frame.set_index("change")
    for form in ("broadcast", "factored", "blocked"):
        ratio = by_change["time_ratio"][f"--attention {form}"]
        assert ratio == pytest.approx(asked[form] / asked["materialized"])


def test_a_smaller_batch_takes_the_same_time_an_image(between):
    (batch,) = [each for each in between.remedies if each.kind == "smaller batch"]
    assert batch.subject.batch < 256
    assert batch.time_ratio == pytest.approx(1, rel=0.1)
    assert batch.latency.mid < between.forms[0].latency.mid


def test_what_keeps_the_mathematics_is_sorted_by_time(between):
    fitting = [each for each in between.remedies if each.judgement.fits and not each.mathematics]
    changes = [each.change for each in fitting]
    assert {"--attention factored", "--attention blocked"} <= set(changes)
    times = [each.time_ratio for each in fitting]
    assert times == sorted(times)
    assert between.least_change == fitting[0]
    assert between.chosen == fitting[0].subject
    assert between.plan.attention == fitting[0].subject.attention


def test_a_form_that_auto_never_stands_for_comes_after_the_others():
    found = fit_small("3GiB", gpu="a100-40gb")
    forms = [each for each in found.remedies if each.kind == ANOTHER_FORM]
    names = [each.subject.attention for each in forms if each.judgement.fits]
    assert names.index("triton") > max(map(names.index, ("factored", "blocked")))


def test_without_known_speed_there_is_no_time_and_the_best_known_form_leads():
    found = fit_small("1500MiB", gpu=None, device="cpu", batch=128)
    frame = found.remedies_frame
    assert np.isnan(frame[[*LATENCY, "time_ratio"]].to_numpy()).all()
    assert found.least_change.change == "--attention blocked"


def test_a_change_of_another_form_is_compared_with_the_step_that_was_asked_for():
    found = fit_small("1050MiB", attention="materialized")  # no more than an idle process takes
    assert found.least_change is None
    stages = [each for each in found.remedies if each.kind == "checkpointing"]
    assert {each.subject.attention for each in stages} == {"materialized", "blocked"}
    predictor = Predictor(Target.of_card(Card.of("t4-16gb")))
    asked = predictor.step(found.subject)
    for each in stages:
        assert each.flops_ratio == pytest.approx(predictor.step(each.subject).flops / asked.flops)
        latencies = predictor.latency(each.subject).mid, predictor.latency(found.subject).mid
        assert each.time_ratio == pytest.approx(latencies[0] / latencies[1])


LESS_ATTENTION = {"fewer heads", "pooled attention", "fewer layers"}


def test_less_attention_is_offered_only_where_the_plain_network_fits(between):
    assert between.plain.fits
    assert {each.kind for each in between.remedies} >= LESS_ATTENTION
    hopeless = fit_small("1050MiB", attention="materialized")
    assert not hopeless.plain.fits
    assert not LESS_ATTENTION & {each.kind for each in hopeless.remedies}


@pytest.mark.parametrize("precision", ["fp32", "amp-fp16"])
def test_a_fit_and_a_prediction_say_the_same_of_a_network_on_a_card(precision):
    asked = {"batch": 16, "mode": "train", "attention": "blocked", "gpu": "t4-16gb"}
    (row,) = aabench.predict(network="aa-debug-resnet", precision=precision, **asked).to_dict(
        "records"
    )
    found = aabench.fit("aa-debug-resnet", precision=precision, **asked)
    band = [row[f"predicted_peak{part}_bytes"] for part in ("", "_low", "_high")]
    need = process_need(
        *band, row["prediction_basis"], Target.of_card(Card.of("t4-16gb")).device_type
    )
    assert need == found.forms[0].judgement.need
    assert found.forms[0].latency.mid == pytest.approx(row["predicted_latency_s"])
