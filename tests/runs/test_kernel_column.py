"""The columns ``kernel`` and ``kernel_refused`` of real sweeps, and the positions of every form."""

import pandas as pd
import pytest

import aabench
from aabench.cases.catalogue import ATTENTIONS, POSITIONS
from aabench.cases.kernels import KERNELS

SMALL = {
    "in_channels": 8,
    "heads": 2,
    "dk": 8,
    "resolution": 4,
    "batch": 2,
    "device": "cpu",
    "seconds_per_case": 0.01,
    "rounds": 1,
}

TRAINED = [name for name in ATTENTIONS.names() if name not in {"flex", "triton"}]

KERNEL_OF = {
    "materialized": "matmul",
    "broadcast": "matmul",
    "sdpa-bias": "flash",
    "factored": "flash",
    "blocked": "matmul",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Every form that trains here, with every position."""
    return aabench.sweep(
        **SMALL,
        dv=8,
        position=POSITIONS.names(),
        attention=TRAINED,
        mode="train",
        out=tmp_path_factory.mktemp("trained") / "run",
    )


@pytest.fixture(scope="module")
def inferred(tmp_path_factory):
    """Forms that are right and awkward, wrong, compiled, not for this machine, or not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TRITON_INTERPRET", raising=False)
        return aabench.sweep(
            **SMALL,
            dv=[0, 8],
            position=["relative", "none"],
            attention=[
                "sdpa-bias",
                "flex",
                "triton",
                "awkward_forms:strided",
                "awkward_forms:by_hand",
            ],
            out=tmp_path_factory.mktemp("inferred") / "run",
        )


def row_of(frame, form, position):
    found = frame[
        (frame["attention"] == form) & (frame["position"] == position) & (frame["dv"] > 0)
    ]
    assert len(found) == 1
    return found.iloc[0]


def test_every_form_trains_with_every_position_and_passes_its_check(trained):
    assert list(trained["status"]) == ["ok"] * len(POSITIONS.names()) * len(TRAINED)
    assert (trained["check_error"] <= trained["check_bound"]).all()
    assert trained["counts_remark"].isna().all()


@pytest.mark.parametrize("position", POSITIONS.names())
@pytest.mark.parametrize("form", TRAINED)
def test_the_kernel_is_the_forms_own(trained, form, position):
    row = row_of(trained, form, position)
    if (form, position) == ("sdpa-bias", "relative"):
        assert row["kernel"] == "math"
        assert row["kernel_refused"] == "flash: mask that needs a gradient"
    else:
        assert row["kernel"] == KERNEL_OF[form]
        assert pd.isna(row["kernel_refused"])


def test_a_mask_without_gradient_keeps_the_fused_kernel(inferred):
    row = row_of(inferred, "sdpa-bias", "relative")
    assert (row["status"], row["kernel"]) == ("ok", "flash")
    assert pd.isna(row["kernel_refused"])


@pytest.mark.parametrize("position", ["relative", "none"])
def test_flex_infers_on_the_cpu(inferred, position):
    row = row_of(inferred, "flex", position)
    assert (row["status"], row["kernel"]) == ("ok", "inductor"), row["reason"]
    assert row["check_error"] <= row["check_bound"]
    assert row["latency_median_s"] > 0


def test_triton_without_a_card_is_unsupported_with_the_reason(inferred):
    row = row_of(inferred, "triton", "relative")
    assert row["status"] == "unsupported"
    assert row["reason"].startswith("triton: ")
    assert pd.isna(row["kernel"])
    assert pd.isna(row["latency_median_s"])


def test_forms_of_other_people_are_on_the_record_too(inferred):
    strided = row_of(inferred, "awkward_forms:strided", "none")
    assert (strided["status"], strided["kernel"]) == ("ok", "math"), strided["reason"]
    assert strided["kernel_refused"].startswith("flash: stride: the last one of q, k and v is 16,")
    by_hand = row_of(inferred, "awkward_forms:by_hand", "none")
    assert (by_hand["status"], by_hand["kernel"]) == ("ok", "other"), by_hand["reason"]
    assert pd.isna(by_hand["kernel_refused"])


def test_what_is_wrong_is_neither_timed_nor_recorded(inferred):
    row = row_of(inferred, "awkward_forms:strided", "relative")
    assert row["status"] == "wrong"
    assert pd.isna(row["kernel"])
    assert pd.isna(row["latency_median_s"])


def test_a_plain_convolution_has_no_kernel(inferred):
    plain = inferred[inferred["dv"] == 0]
    assert set(plain["status"]) == {"ok"}
    assert plain["kernel"].isna().all()


def test_kernels_are_of_the_closed_vocabulary(inferred, trained):
    found = {*inferred["kernel"].dropna(), *trained["kernel"].dropna()}
    assert {"flash", "math", "matmul", "inductor", "other"} == found
    assert found < set(KERNELS)
