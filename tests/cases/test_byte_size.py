"""Byte sizes as text: what is read, and what is refused with a way out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.byte_size import LARGEST, UNITS, parse_bytes
from aabench.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("12GiB", 12 * 2**30),
        ("16GB", 16_000_000_000),
        (" 1.5 gib ", 3 * 2**29),
        ("512MIB", 2**29),
        ("0.1kB", 100),
        ("1B", 1),
    ],
)
def test_a_number_and_its_unit_are_read(text, size):
    assert parse_bytes(text, "--vram") == size


@given(st.integers(1, 10**6), st.sampled_from(list(UNITS)))
@settings(deadline=None, max_examples=50)
def test_whole_numbers_are_exact(number, unit):
    if number * UNITS[unit] <= LARGEST:
        assert parse_bytes(f"{number}{unit}", "--vram") == number * UNITS[unit]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("12", "without a unit; got '12'; write 12GiB .* or 12GB"),
        ("0GiB", "a size of no bytes"),
        ("0.0001kB", "a size of no bytes"),
        ("-1GiB", "not a size"),
        ("12 gigs", "unknown unit 'gigs'.*GiB"),
        ("nanGiB", "not a size"),
        ("", "not a size"),
        ("1e3GiB", "not a size"),
        ("9999999TiB", "out of any reach"),
        ("٣GiB", "not a size"),
    ],
)
def test_anything_else_is_refused_with_a_way_out(text, message):
    with pytest.raises(UsageError, match=f"^--vram: .*{message}"):
        parse_bytes(text, "--vram")


@given(st.text(max_size=20))
@settings(deadline=None, max_examples=200)
def test_no_text_does_anything_but_read_or_refuse(text):
    try:
        assert 1 <= parse_bytes(text, "--vram") <= LARGEST
    except UsageError:
        pass
