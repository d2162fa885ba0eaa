"""The text of an axis: what it means, and how it is refused."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.axes import AXES, parse_axes
from aabench.errors import UsageError


@pytest.mark.parametrize(
    ("axis", "text", "values"),
    [
        ("heads", "8", (8,)),
        ("heads", "2,4,8", (2, 4, 8)),
        ("heads", "2, 4 ,8", (2, 4, 8)),
        ("heads", "2^3:2^6", (8, 16, 32, 64)),
        ("heads", "2:8:3", (2, 5, 8)),
        ("heads", "2:4", (2, 3, 4)),
        ("heads", "4,2,4", (4, 2)),
        ("heads", 8, (8,)),
        ("heads", [2, "4,8"], (2, 4, 8)),
        ("heads", range(1, 4), (1, 2, 3)),
        ("heads", "8.0", (8,)),
        ("kappa", "0.1:0.5:0.1", tuple(Decimal(n) / 10 for n in range(1, 6))),
        ("kappa", ".5,0.5,0.50", (Decimal("0.5"),)),
        ("kappa", [0.1, 0.25], (Decimal("0.1"), Decimal("0.25"))),
        ("resolution", "28,28x40", ((28, 28), (28, 40))),
        ("resolution", (28, 40), ((28, 40),)),
        ("resolution", [(7, 9), 14], ((7, 9), (14, 14))),
        ("resolution", "14:28:14", ((14, 14), (28, 28))),
        ("compile", "off,on", (False, True)),
        ("compile", True, (True,)),
        ("mode", ["infer", "train"], ("infer", "train")),
        ("attention", "auto,broadcast", ("auto", "broadcast")),
    ],
)
def test_values_mean_what_they_say(axis, text, values):
    assert AXES[axis].parse(text) == values


@pytest.mark.parametrize(
    ("axis", "text", "clue"),
    [
        ("heads", "", "empty value"),
        ("heads", "2,,4", "empty value"),
        ("heads", [], "no values"),
        ("heads", "eight", "not a number"),
        ("heads", "nan", "not a finite number"),
        ("heads", "inf", "not a finite number"),
        ("heads", "-2", "1 to 4,096"),
        ("heads", "0", "1 to 4,096"),
        ("heads", "2.5", "whole numbers"),
        ("heads", "1e300", "out of any reach"),
        ("heads", "99999999", "1 to 4,096"),
        ("heads", "8:2:1", "write 2:8:1"),
        ("heads", "2:8:0", "step must be above zero"),
        ("heads", "2:8:-1", "step must be above zero"),
        ("heads", "1:2:3:4", "first:last:step"),
        ("heads", "2^6:2^3", "write 2^3:2^6"),
        ("kappa", "0:1:0.000001", "more than 100,000 values"),
        ("kappa", "1.5", "0 to 1"),
        ("kappa", "-0.1", "0 to 1"),
        ("resolution", "28x28x28", "28x40"),
        ("resolution", "0x28", "1 to 16,384"),
        ("resolution", "x28", "28x40"),
        ("mode", "trian", "did you mean train"),
        ("precision", "fp8", "fp32, tf32"),
        ("attention", "materialised", "did you mean materialized"),
        ("position", "relativ", "did you mean relative"),
        ("compile", "yes", "off, on"),
    ],
)
def test_bad_values_are_refused_with_the_values_allowed(axis, text, clue):
    with pytest.raises(UsageError) as caught:
        AXES[axis].parse(text)
    assert clue in str(caught.value)


def test_rival_axes_exclude_each_other():
    with pytest.raises(UsageError, match=r"--dk and --kappa are two ways"):
        parse_axes({"dk": "8", "kappa": "0.1"})
    with pytest.raises(UsageError, match=r"--dv and --upsilon are two ways"):
        parse_axes({"dv": 8, "upsilon": 0.1})
    assert set(parse_axes({"dk": 8, "upsilon": 0.1})) == {"dk", "upsilon"}


def test_unknown_axis_offers_the_nearest():
    with pytest.raises(UsageError, match="did you mean heads"):
        parse_axes({"head": 8})


@given(st.text(max_size=30))
@settings(deadline=None, max_examples=100)
def test_any_text_is_values_or_a_usage_error(text):
    for axis in AXES.values():
        try:
            values = axis.parse(text)
        except UsageError as error:
            assert str(error)
        else:
            assert values
            assert len(set(values)) == len(values)


@given(
    first=st.decimals(0, 1, places=4),
    count=st.integers(0, 60),
    step=st.decimals("0.0001", "0.01", places=4),
)
@settings(deadline=None)
def test_a_range_has_both_ends_and_exact_steps(first, count, step):
    last = first + count * step
    if last > 1:
        return
    values = AXES["kappa"].parse(f"{first}:{last}:{step}")
    assert values == tuple((first + index * step) for index in range(count + 1))


@given(st.lists(st.integers(1, 4096), min_size=1, max_size=20))
@settings(deadline=None)
def test_lists_and_text_are_the_same(values):
    axis = AXES["heads"]
    assert axis.parse(values) == axis.parse(",".join(map(str, values)))
