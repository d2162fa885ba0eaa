"""The door to fitting: what it finds for models and networks, against needs that are traced anew."""

import pytest
import torch
from small_models import INPUT_SIZE, OPTIONS, Small

import aabench
from aabench.cases.card import Card
from aabench.cost.target import Target
from aabench.cost.traced.step_settings import StepSettings
from aabench.errors import UsageError
from aabench.fitting.budget import Budget
from aabench.fitting.predictor import Predictor
from aabench.fitting.source import GivenModel
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement, Verdict
from aabench.networks.augmenting import augment

GIB = 2**30


def fit_small(budget, **changes):
    asked = {"batch": 16, "mode": "train", **OPTIONS, **changes}
    return aabench.fit(
        Small(), layers="*.conv", input_size=INPUT_SIZE, budget=budget, device="cpu", **asked
    )


def needs(found):
    return {form.attention: form.judgement.needed_bytes for form in found.forms if form.judgement}


@pytest.fixture(scope="module")
def roomy():
    return fit_small("8GiB")


def test_with_room_all_of_it_fits_by_every_form_and_nothing_is_to_be_changed(roomy):
    assert roomy.verdict is Verdict.FITS
    assert set(roomy.forms_frame["attention"][roomy.forms_frame["verdict"] == "fits"]) == {
        "materialized",
        "broadcast",
        "sdpa-bias",
        "factored",
        "blocked",
    }
    assert roomy.least_change is None
    assert list(roomy.frame["layer"]) == ["first.conv", "second.conv", "third.conv"]
    assert roomy.frame["in_set_from_last"].all()
    assert roomy.frame["share_of_peak"].between(0, 1).all()


def test_between_the_forms_another_form_is_the_least_change(roomy):
    need = needs(roomy)
    assert need["blocked"] < need["materialized"]
    found = fit_small((need["blocked"] + need["materialized"]) // 2)
    assert found.verdict is Verdict.FITS
    assert found.subject.attention == "materialized"
    assert not next(form for form in found.forms if form.attention == "materialized").fits
    assert found.least_change.change == "--attention blocked"
    assert found.least_change.judgement.fits
    assert found.plan.attention == "blocked"
    assert [layer.name for layer in found.plan.layers] == list(found.frame["layer"])


def test_one_form_asked_for_is_judged_alone(roomy):
    need = needs(roomy)
    found = fit_small((need["blocked"] + need["materialized"]) // 2, attention="materialized")
    assert [form.attention for form in found.forms] == ["materialized"]
    assert found.verdict is not Verdict.FITS
    assert found.least_change.change == "--attention blocked"


def test_sets_hold_the_budget_and_the_best_is_never_the_smaller(roomy):
    plain = roomy.plain.needed_bytes
    for part in (0.3, 0.8):
        budget = int(plain + part * (needs(roomy)["materialized"] - plain))
        found = fit_small(budget, attention="materialized")
        from_last, best = found.sets.from_last, found.sets.best_use
        assert len(best) >= len(from_last)
        names = list(found.frame["layer"])
        assert from_last == tuple(names[len(names) - len(from_last) :])
        for chosen in {from_last, best} - {()}:
            assert traced_alone(chosen, budget).fits
        larger = names[len(names) - len(from_last) - 1 :]
        assert not traced_alone(larger, budget).fits


def traced_alone(chosen, budget):
    """The judgement on a model of which just these layers are augmented, by a trace of its own."""
    source = GivenModel(Small(), list(chosen), INPUT_SIZE, OPTIONS)
    subject = Subject(source, "materialized", 16, StepSettings(mode="train"))
    return Judgement(Predictor(Target("cpu")).need(subject), Budget.of(budget))


def test_below_the_plain_network_the_answer_is_no_and_says_what_that_needs(roomy):
    found = fit_small(roomy.plain.need.low_bytes // 2, attention="blocked")
    assert found.verdict is Verdict.DOES_NOT_FIT
    assert found.plain.verdict is Verdict.DOES_NOT_FIT
    assert found.sets.from_last == () and found.sets.best_use == ()
    assert found.plain_row["needed_high_bytes"] == roomy.plain.needed_bytes


def test_without_anything_that_fits_there_is_no_plan():
    found = fit_small(1000, attention="blocked")
    assert found.chosen is None
    with pytest.raises(UsageError, match="no plan"):
        found.plan  # noqa: B018


@pytest.mark.parametrize("axis", ["batch", "heads", "stages", "upsilon", "resolution"])
def test_a_maximum_fits_and_one_step_beyond_does_not(roomy, axis):
    found = fit_small(needs(roomy)["materialized"], attention="materialized", maximize=axis)
    (maximum,) = found.maxima
    assert maximum.judgement.fits
    assert maximum.beyond_judgement is None or not maximum.beyond_judgement.fits
    assert (maximum.beyond is None) == bool(maximum.why_not)
    if axis == "batch":
        assert int(maximum.beyond.value) == int(maximum.best.value) + 1
        # As much memory as 16 images need is what 16 images fit into.
        assert maximum.best.value == "16"
        step, judgement = found.first_misfit(maximum)
        assert judgement.verdict is Verdict.DOES_NOT_FIT
        assert step.subject.batch > maximum.best.subject.batch


def test_a_plan_builds_the_network_that_was_judged_and_it_trains(roomy, tmp_path):
    need = needs(roomy)
    found = fit_small((need["blocked"] + need["materialized"]) // 2)
    path = tmp_path / "plan.json"
    found.plan.write(path)
    assert f'plan="{path}"' in found.lines(str(path))
    torch.manual_seed(0)
    model = aabench.augment(Small(), plan=path)
    again = augment(Small(), "*.conv", input_size=INPUT_SIZE, attention="blocked", **OPTIONS)
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in again.state_dict().items()
    }
    images, classes = torch.randn(8, *INPUT_SIZE), torch.arange(8) % 5
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(model(images), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_model_is_not_changed_and_what_cannot_be_is_refused():
    model = Small()
    before = repr(model)
    aabench.fit(model, layers="third.conv", input_size=INPUT_SIZE, budget="1GiB", **OPTIONS)
    assert repr(model) == before
    with pytest.raises(UsageError, match="nothing to augment"):
        aabench.fit(model, budget="1GiB")
    with pytest.raises(UsageError, match="matches no module"):
        aabench.fit(model, layers="nowhere", input_size=INPUT_SIZE, budget="1GiB", **OPTIONS)
    with pytest.raises(UsageError, match="nothing to augment"):
        aabench.fit("resnet50", budget="1GiB")
    with pytest.raises(UsageError, match="unknown card"):
        aabench.fit("aa-resnet50", gpu="t5-16gb")


def test_attention_of_other_kinds_is_judged_as_it_is():
    found = aabench.fit("sasa-resnet26", batch=2, resolution=64, budget="16GiB", device="cpu")
    assert found.verdict is Verdict.FITS
    assert found.frame.empty
    assert 'build_network("sasa-resnet26")' in found.lines()
    with pytest.raises(UsageError, match="no part in"):
        found.plan  # noqa: B018


def test_the_16_gb_card_of_the_issue_tracker():
    """AA-WRN-28-10 at batch 128: full maps do not fit, forms without them do."""
    found = aabench.fit("aa-wrn28-10", batch=128, mode="train", gpu="t4-16gb")
    by_form = {form.attention: form for form in found.forms}
    materialized = by_form["materialized"].judgement
    assert materialized.verdict is Verdict.DOES_NOT_FIT
    assert materialized.need.peak_bytes == pytest.approx(30.7 * GIB, rel=0.01)
    assert materialized.short_bytes > 10 * GIB
    assert by_form["blocked"].judgement.need.peak_bytes == pytest.approx(3.7 * GIB, rel=0.1)
    assert by_form["blocked"].fits and by_form["factored"].fits
    assert by_form["triton"].problem and by_form["triton"].judgement is None
    assert found.least_change.kind == "another form"
    # The papers' rule stops before the group at full resolution.
    assert found.sets.from_last[0] == "groups.1.0.conv1"
    batches = [each for each in found.remedies if each.kind == "smaller batch"]
    assert 32 <= batches[0].subject.batch < 64 and batches[0].judgement.fits


def test_the_replications_p100_could_have_held_more_than_the_last_group():
    found = aabench.fit(
        "aa-wrn28-10", batch=128, mode="train", gpu="p100-16gb", attention="blocked"
    )
    assert found.verdict is Verdict.FITS
    assert len(found.sets.from_last) == 12
    assert Card.of("p100-16gb").usable_bytes >= found.forms[0].judgement.needed_bytes
