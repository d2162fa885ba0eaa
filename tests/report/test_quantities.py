"""Quantities as text: units, digits that mean something, and values that are not there."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aabench.report.quantities import (
    BYTES,
    COUNTS,
    FLOPS,
    SECONDS,
    Scale,
    bytes_text,
    common_unit,
    count_text,
    duration_text,
    flops_text,
    macs_text,
    quantity_text,
    ratio_text,
    seconds_text,
    share_text,
    significant,
    with_spread,
)

quick = settings(deadline=None, max_examples=60)
POSITIVE = st.floats(min_value=1e-3, max_value=1e18, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (bytes_text(0), "0 B"),
        (bytes_text(512), "512 B"),
        (bytes_text(43_306_189), "41.3 MiB"),
        (bytes_text(1023), "1023 B"),
        (bytes_text(1_048_575), "1.00 MiB"),
        (bytes_text(16 * 2**30), "16.0 GiB"),
        (seconds_text(1.24e-3), "1.24 ms"),
        (seconds_text(0.9999e-3), "1.00 ms"),
        (seconds_text(75.0), "75.0 s"),
        (seconds_text(1.2371e-3, 3.12e-5), "1.24 ± 0.03 ms"),
        (seconds_text(1.2371e-3, 1.42e-5), "1.237 ± 0.014 ms"),
        (seconds_text(1.2371, math.nan), "1.24 s"),
        (flops_text(3_100_000_000), "3.10 GFLOP"),
        (macs_text(999), "999 MAC"),
        (count_text(1_234_567), "1.23 M"),
        (count_text(640), "640"),
        (ratio_text(2.409), "2.41x"),
        (ratio_text(124.4), "124x"),
        (ratio_text(0.0712), "0.0712x"),
        (share_text(0.617), "62 %"),
        (share_text(0.001), "<1 %"),
        (share_text(0), "0 %"),
        (duration_text(8.4), "8 s"),
        (duration_text(59.7), "1 min 0 s"),
        (duration_text(112.3), "1 min 52 s"),
        (duration_text(12_000), "3 h 20 min"),
        (duration_text(7199.9), "2 h 0 min"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "show",
    [
        bytes_text,
        seconds_text,
        flops_text,
        macs_text,
        count_text,
        ratio_text,
        share_text,
        duration_text,
    ],
)
def test_missing_values_are_a_dash_or_what_is_asked_for(show: object) -> None:
    assert callable(show)
    for missing in (None, math.nan):
        assert show(missing) == "–"
        assert show(missing, empty="") == ""


@quick
@given(value=POSITIVE, scale=st.sampled_from([BYTES, SECONDS, FLOPS, COUNTS]))
def test_the_text_keeps_the_value_to_three_digits(value: float, scale: Scale) -> None:
    number, _, symbol = quantity_text(value, scale).partition(" ")
    size = next(unit.size for unit in scale.units if unit.symbol == symbol)
    smallest_step = size if scale.whole and size == 1 else 0.0
    assert float(number) * size == pytest.approx(value, rel=0.0051, abs=0.5 * smallest_step)


@quick
@given(value=POSITIVE, scale=st.sampled_from([BYTES, FLOPS, COUNTS]))
def test_no_text_reaches_the_next_unit(value: float, scale: Scale) -> None:
    number, _, symbol = quantity_text(value, scale).partition(" ")
    larger = {
        unit.symbol: after.size / unit.size
        for unit, after in zip(scale.units, scale.units[1:], strict=False)
    }
    assert float(number) < larger.get(symbol, math.inf)


@quick
@given(value=st.floats(-1e6, 1e6), half=st.floats(1e-6, 1e6))
@example(value=10_000.0, half=0.5)
def test_rounding_for_a_spread_moves_the_value_by_less_than_the_spread(
    value: float, half: float
) -> None:
    shown, spread = with_spread(value, half)
    if spread:
        assert abs(float(shown) - value) <= 0.55 * half
        assert float(spread) == pytest.approx(half, rel=0.5)
        assert len(spread.partition("e")[0].replace(".", "").strip("0")) <= 2
    else:
        assert half < abs(value) * 1e-4


@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [
        (1.2371, 0.0962, ("1.24", "0.10")),
        (1237.1, 31.0, ("1240", "30")),
        (1.0, 3.0, ("1.0", "3.0")),
        (1.234, 61.7, ("1.2", "62")),
        (1234.5, 6172.8, ("1234", "6200")),
        (5.0, None, ("5.00", "")),
        (5.0, 0.0, ("5.00", "")),
        (5.0, math.inf, ("5.00", "")),
        (12.3456789, 1e-5, ("12.346", "")),
    ],
)
def test_digits_follow_the_spread(
    value: float, half: float | None, expected: tuple[str, str]
) -> None:
    assert with_spread(value, half) == expected


def test_significant_digits() -> None:
    shown = [significant(value) for value in (0, 0.051234, 9.996, 12345.6, -2.5, 1.5e-9, math.inf)]
    assert shown == ["0", "0.0512", "10.0", "12346", "-2.50", "1.50e-09", "inf"]


def test_a_column_has_one_unit_while_its_values_are_near_each_other() -> None:
    unit = common_unit([203e6, 16.8e9, None, math.nan, 0.0], FLOPS)
    assert unit is not None and unit.symbol == "GFLOP"
    unit = common_unit([496_000], COUNTS)
    assert unit is not None and unit.symbol == "k"
    assert common_unit([1.0, 1e12], FLOPS) is None


def test_a_column_without_values_still_has_a_unit() -> None:
    assert common_unit([None, math.nan], BYTES) == BYTES.units[0]
