"""Budgets and verdicts: the definitions, held against numbers written out here."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.card import Card
from aabench.errors import UsageError
from aabench.fitting.budget import Budget
from aabench.fitting.search import largest_that
from aabench.fitting.stages import by_stage, stage_of
from aabench.fitting.verdict import Judgement, Need, Verdict

MIB = 2**20


def judged(low, high, budget, device_type="cpu", **aside):
    need = Need.of((low + high) // 2, low, high, "test", device_type=device_type)
    return Judgement(need, Budget(budget, "test", **aside))


@pytest.mark.parametrize(
    ("low", "high", "budget", "device", "verdict"),
    [
        (900, 1000, 1030, "cpu", Verdict.FITS),
        (900, 1000, 1029, "cpu", Verdict.TOO_CLOSE),
        (900, 1000, 900, "cpu", Verdict.TOO_CLOSE),
        (900, 1000, 899, "cpu", Verdict.DOES_NOT_FIT),
        (900 * MIB, 1000 * MIB, 1256 * MIB, "cuda", Verdict.FITS),
        (900 * MIB, 1000 * MIB, 1255 * MIB, "cuda", Verdict.TOO_CLOSE),
        (90_000 * MIB, 100_000 * MIB, 103_000 * MIB, "cuda", Verdict.FITS),
        (90_000 * MIB, 100_000 * MIB, 102_999 * MIB, "cuda", Verdict.TOO_CLOSE),
    ],
)
def test_the_margin_is_3_percent_and_256_mib_on_a_card(low, high, budget, device, verdict):
    assert judged(low, high, budget, device).verdict is verdict


def test_what_is_set_aside_counts_against_the_budget():
    assert judged(900, 1000, 2030, reserve_bytes=1000).fits
    assert not judged(900, 1000, 2030, reserve_bytes=1001).fits
    assert judged(900, 1000, 1130, extra_bytes=100).fits
    assert not judged(900, 1000, 1130, extra_bytes=101).fits
    # What nobody can know makes nothing certain.
    assert judged(900, 1000, 900, extra_bytes=10**6).verdict is Verdict.TOO_CLOSE


@settings(deadline=None)
@given(
    st.integers(1, 10**12), st.integers(0, 10**11), st.integers(1, 10**13), st.integers(0, 10**9)
)
def test_more_memory_never_makes_a_verdict_worse(low, spread, budget, more):
    order = [Verdict.DOES_NOT_FIT, Verdict.TOO_CLOSE, Verdict.FITS]
    before = judged(low, low + spread, budget).verdict
    after = judged(low, low + spread, budget + more).verdict
    assert order.index(after) >= order.index(before)


def test_a_budget_comes_from_words_a_card_or_what_is_free():
    card = Card.of("t4-16gb")
    assert Budget.of("16GiB").usable_bytes == 16 * 2**30
    assert Budget.of("16GB").usable_bytes == 16 * 10**9
    assert Budget.of("16GiB", card=card).usable_bytes == 16 * 2**30
    assert Budget.of(None, card=card).usable_bytes == card.usable_bytes
    assert Budget.of(None, free_bytes=77).usable_bytes == 77
    assert Budget.of("2GiB", reserve="512MiB").usable_bytes == 1536 * MIB


@pytest.mark.parametrize(
    ("total", "message"),
    [
        ("16", "without a unit"),
        ("0GiB", "no bytes"),
        (0, "no bytes"),
        (True, "no bytes"),
        ("much", "not a size"),
        (None, "--gpu"),
    ],
)
def test_what_is_no_budget_is_refused(total, message):
    with pytest.raises(UsageError, match=message):
        Budget.of(total)


def test_a_reserve_that_leaves_nothing_is_refused():
    with pytest.raises(UsageError, match="leaves nothing"):
        Budget.of("1GiB", reserve="1GiB")


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 3000), st.integers(0, 4000))
def test_bisection_finds_the_bound_with_few_questions(least, most, bound):
    asked = []

    def passes(number):
        asked.append(number)
        return number <= bound

    found = largest_that(passes, least, most)
    expected = min(bound, most)
    assert found == (expected if expected >= least else 0)
    assert all(least <= number <= most for number in asked)
    assert len(asked) <= 2 * max(most, 2).bit_length() + 2


def test_stages_are_the_modules_that_part_the_layers():
    resnet = ["layer2.0.conv2", "layer2.1.conv2", "layer3.0.conv2"]
    assert by_stage(resnet) == {
        "layer2": ("layer2.0.conv2", "layer2.1.conv2"),
        "layer3": ("layer3.0.conv2",),
    }
    wide = ["groups.0.0.conv1", "groups.0.1.conv1", "groups.1.0.conv1"]
    assert list(by_stage(wide)) == ["groups.0", "groups.1"]
    detector = [f"backbone.body.{name}" for name in resnet]
    assert list(by_stage(detector)) == ["backbone.body.layer2", "backbone.body.layer3"]
    assert stage_of("stem.conv", ["stem.conv"]) == "stem"
