"""Bands: ordered, narrow where there are measured cases like a case, wide and so labelled elsewhere."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.card import Card
from aabench.cases.case import Case, Layer
from aabench.cost.bands import UNCALIBRATED, UNCHECKED, Bands
from aabench.cost.calibration import (
    calibration_path,
    find_calibration,
    read_calibrations,
    write_calibration,
)
from aabench.cost.columns import LayerColumns
from aabench.cost.layers import UNKNOWN, predict_layers
from aabench.cost.residuals import ROOFLINE_ALONE, UNCALIBRATED_STEP, Factors, Residuals
from aabench.cost.roofline import StepTime
from aabench.errors import UsageError

STORED = Path(__file__).parent / "data" / "calibration.json"
NOWHERE = Path("no-such-file.json")

LAYER = Layer(64, 64, 3, 1, 1, 4, 32, 16, "relative", 20, 20)


def case(form="blocked", mode="train", precision="fp32"):
    return Case(LAYER, 4, mode, precision, form).canonical()


CASES = [case(), case("materialized", "infer"), case("blocked", "forward-backward", "bf16")]


def applied(bands, cases, device_type="cpu"):
    layers = LayerColumns.from_cases(cases, device_type, 2)
    return bands.apply(predict_layers(layers, ceilings=bands.ceilings), layers)


@pytest.mark.parametrize(
    "bands",
    [
        Bands.load(path=NOWHERE),
        Bands.load(path=STORED),
        Bands.load("cuda", card=Card.of("h100-80gb"), path=STORED),
        Bands.load("cuda", card=Card.unlisted("12GiB", "sm89"), path=STORED),
    ],
)
def test_every_band_is_ordered(bands):
    columns = applied(bands, CASES, bands.device_type)
    low, mid, high = (columns[f"predicted_peak{end}_bytes"] for end in ("_low", "", "_high"))
    assert np.all(low <= mid) and np.all(mid <= high) and np.all(low < high)
    if "bound" in columns:
        low, mid, high = (columns[f"predicted_latency{end}_s"] for end in ("_low", "", "_high"))
        assert np.all(low <= mid) and np.all(mid <= high) and np.all(low > 0)
        assert columns["bound"].at(0) in ("compute", "memory", "launch")


def test_without_a_calibration_the_band_is_wide_and_there_is_no_time():
    bands = Bands.load(path=NOWHERE)
    columns = applied(bands, CASES)
    assert bands.ceilings is None and "predicted_latency_s" not in columns
    assert {columns["prediction_basis"].at(row) for row in range(3)} == {UNCALIBRATED}
    layers = LayerColumns.from_cases(CASES, "cpu", 2)
    figures = predict_layers(layers)
    np.testing.assert_array_equal(columns["predicted_peak_bytes"], figures["predicted_peak_bytes"])
    share = columns["predicted_peak_high_bytes"] - columns["predicted_peak_bytes"]
    expected = (UNCALIBRATED_STEP.high - 1) * figures["predicted_step_peak_bytes"]
    np.testing.assert_allclose(share, expected, rtol=0, atol=1)


def test_measured_cases_narrow_the_band_and_name_themselves():
    narrow, wide = (applied(Bands.load(path=path), CASES) for path in (STORED, NOWHERE))
    for end in ("low", "high"):
        name = f"predicted_peak_{end}_bytes"
        assert np.all(
            np.abs(narrow[name] - narrow["predicted_peak_bytes"])
            < np.abs(wide[name] - wide["predicted_peak_bytes"])
        )
    said = [narrow["prediction_basis"].at(row) for row in range(3)]
    assert said[:2] == ["calibrated on Test CPU, 3 cases"] * 2
    assert said[2] == "calibrated on Test CPU, 6 cases"  # of the form, in any mode


def test_the_stored_cases_lie_inside_their_own_bands():
    calibration = find_calibration("cpu", path=STORED)
    measured = [item.peak_allocated_bytes for item in calibration.cases]
    columns = applied(Bands.load(path=STORED), [item.case for item in calibration.cases])
    assert np.all(columns["predicted_peak_low_bytes"] <= measured)
    assert np.all(columns["predicted_peak_high_bytes"] >= measured)
    seconds = [item.latency_s for item in calibration.cases]
    inside = columns["predicted_latency_low_s"] <= seconds
    inside &= columns["predicted_latency_high_s"] >= seconds
    assert inside.mean() > 0.9


def test_a_card_is_never_checked_by_a_calibration_of_something_else():
    columns = applied(Bands.load("cuda", card=Card.of("a10-24gb"), path=STORED), CASES, "cuda")
    assert {columns["prediction_basis"].at(row) for row in range(3)} == {UNCHECKED}


def test_a_calibration_of_the_very_card_counts(tmp_path):
    stored = find_calibration("cpu", path=STORED)
    of_card = replace(stored, device_type="cuda", device_name="NVIDIA A10")
    path = write_calibration(of_card, tmp_path / "cards.json")
    bands = Bands.load("cuda", card=Card.of("a10-24gb"), path=path)
    assert bands.ceilings == of_card.ceilings
    assert "calibrated on NVIDIA A10" in applied(bands, CASES, "cuda")["prediction_basis"].at(0)
    assert Bands.load("cuda", card=Card.of("l4-24gb"), path=path).calibration is None
    assert Bands.load("cpu", path=path).calibration is None


def test_the_workspaces_of_a_card_are_in_its_peak():
    figures = predict_layers(LayerColumns.from_cases(CASES, "cuda", 2))
    columns = applied(Bands.load("cuda", card=Card.of("h100-80gb"), path=NOWHERE), CASES, "cuda")
    more = columns["predicted_peak_bytes"] - figures["predicted_peak_bytes"]
    assert set(more.tolist()) == {32 * 2**20}


def test_what_is_not_predicted_stays_unknown():
    cases = [case(), replace(case(), precision="amp-fp16")]
    columns = applied(Bands.load(path=STORED), cases)
    assert columns["predicted_latency_s"][1] == UNKNOWN and columns["bound"].at(1) == ""
    unknown = replace(case(), attention="json:dumps")
    columns = applied(Bands.load(path=STORED), [unknown])
    for name in ("predicted_peak_bytes", "predicted_peak_low_bytes", "predicted_peak_high_bytes"):
        assert columns[name].tolist() == [UNKNOWN]
    assert columns["prediction_basis"].at(0) == ""


def test_networks_have_bands_as_well():
    for path in (STORED, NOWHERE):
        bands = Bands.load(path=path)
        peak = bands.step_peak(10**8, 10**9, mode="train", precision="fp32")
        assert 10**8 < peak.low < peak.mid == 1.1e9 < peak.high
        time = bands.latency(StepTime(1, 2, 0.5), mode="train", precision="fp32")
        assert time.low < time.mid < time.high
        assert time.basis == peak.basis
    card = Bands.load("cuda", card=Card.of("v100-32gb"), path=NOWHERE)
    peak = card.step_peak(0, 10**9, mode="train", precision="fp32", cudnn_bytes=10**7)
    assert peak.mid == 10**9 + 8_519_680
    assert peak.high == pytest.approx(1.25e9 + 8_519_680 + 2**20 + 10**7)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=30))
@settings(deadline=None, max_examples=60)
def test_factors_hold_the_quantiles_and_shrink_with_more_of_the_same(ratios):
    factors = Factors.of(ratios, ROOFLINE_ALONE)
    assert factors.low < factors.mid < factors.high
    assert factors.low <= np.quantile(ratios, 0.04) * (1 + 1e-9)
    again = Factors.of(ratios * 20, ROOFLINE_ALONE)
    assert again.mid == pytest.approx(factors.mid)
    one = Factors.of([1.0], UNCALIBRATED_STEP)
    assert (one.low, one.high) == pytest.approx((UNCALIBRATED_STEP.low, UNCALIBRATED_STEP.high))


def test_the_narrowest_group_with_enough_cases_counts():
    residuals = Residuals.of("cpu", find_calibration("cpu", path=STORED))
    assert residuals.step("blocked", "train", "fp32")[1] == 3
    assert residuals.step("blocked", "train", "bf16")[1] == 3
    assert residuals.step("flex", "train", "fp32")[1] == 15
    assert residuals.step("blocked", "forward-backward", "fp32")[1] == 6
    assert residuals.step("flex", "forward-backward", "fp32")[1] == 30
    assert Residuals.of("cpu", None).step("blocked", "train", "fp32") == (UNCALIBRATED_STEP, 0)


def test_a_calibration_survives_being_written_and_replaces_its_own_kind_only(tmp_path):
    (stored,) = read_calibrations(STORED)
    path = tmp_path / "folder" / "calibration.json"
    other = replace(stored, device_name="Other CPU", date="2020-01-01T00:00:00+00:00")
    for calibration in (stored, other, replace(stored, threads=1)):
        write_calibration(calibration, path)
    assert [item.threads for item in read_calibrations(path)] == [2, 1]
    assert find_calibration("cpu", ["Other CPU"], path) == other
    assert find_calibration("cpu", path=path).device_name == "Test CPU"
    assert find_calibration("cpu", ["Third CPU"], path) is None
    assert [item.name for item in path.parent.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": 2}', '{"schema": 1, "calibrations": [{}]}', "\x00"]
)
def test_a_broken_file_is_named_with_a_way_out(tmp_path, text):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="calibration.json: not a calibration.*aabench calibrate"):
        Bands.load(path=path)


def test_the_file_is_the_users_unless_the_environment_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("AABENCH_CALIBRATION", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert calibration_path() == tmp_path / "aabench" / "calibration.json"
    monkeypatch.setenv("AABENCH_CALIBRATION", str(STORED))
    assert calibration_path() == STORED
    assert json.loads(STORED.read_text())["schema"] == 1
