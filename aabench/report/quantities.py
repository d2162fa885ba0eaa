"""Text for quantities: bytes, seconds, FLOPs, counts and ratios as a person reads them.

Inside the package quantities are plain numbers of bytes, seconds and so on; MiB, ms and GFLOP exist
only in the text made here. Missing values, ``None`` and NaN, become a dash.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

EMPTY = "–"
"""What stands where there is no value."""

Number = float | int | None

LARGEST_IN_ONE_UNIT = 100_000
SMALLEST_IN_ONE_UNIT = 0.01
"""A column keeps one unit while its values lie between these; beyond, each cell names its own."""

BEST_READ = 30.0
"""Where the middle of a column's values should come to lie in its unit."""

MOST_DIGITS = 5
"""Significant digits that a spread may ask for; nobody reads more in a terminal."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of display: its symbol and its size in the base unit of its scale."""

    symbol: str
    size: float


@dataclass(frozen=True, slots=True)
class Scale:
    """The units of one kind of quantity, smallest first.

    Attributes:
        units: ascending by size.
        whole: whether the smallest unit cannot be divided, as bytes cannot.
    """

    units: tuple[Unit, ...]
    whole: bool = False


def _decimal_scale(symbol: str) -> Scale:
    prefixes = ("", "k", "M", "G", "T", "P", "E", "Z")
    return Scale(
        tuple(Unit(prefix + symbol, 1000.0**power) for power, prefix in enumerate(prefixes)),
        whole=True,
    )


_BINARY_PREFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
BYTES = Scale(
    tuple(Unit(prefix + "B", 1024.0**power) for power, prefix in enumerate(_BINARY_PREFIXES)),
    whole=True,
)
SECONDS = Scale((Unit("ns", 1e-9), Unit("µs", 1e-6), Unit("ms", 1e-3), Unit("s", 1.0)))
FLOPS = _decimal_scale("FLOP")
MACS = _decimal_scale("MAC")
COUNTS = _decimal_scale("")


def is_missing(value: Number) -> bool:
    """Whether there is no value: ``None`` or NaN."""
    return value is None or value != value  # noqa: PLR0124  NaN alone differs from itself


def bytes_text(count: Number, *, empty: str = EMPTY) -> str:
    """Bytes in binary units: ``41.3 MiB``."""
    return quantity_text(count, BYTES, empty=empty)


def flops_text(count: Number, *, empty: str = EMPTY) -> str:
    """Floating-point operations: ``3.10 GFLOP``."""
    return quantity_text(count, FLOPS, empty=empty)


def macs_text(count: Number, *, empty: str = EMPTY) -> str:
    """Multiply-accumulates: ``1.55 GMAC``."""
    return quantity_text(count, MACS, empty=empty)


def count_text(count: Number, *, empty: str = EMPTY) -> str:
    """A plain count: ``640``, ``1.23 M``."""
    return quantity_text(count, COUNTS, empty=empty)


def seconds_text(seconds: Number, half_width: Number = None, *, empty: str = EMPTY) -> str:
    """A latency: ``1.24 ms``; ``1.24 ± 0.03 ms`` where its interval's half-width is given."""
    if seconds is None or is_missing(seconds):
        return empty
    if half_width is None or is_missing(half_width):
        return quantity_text(seconds, SECONDS)
    unit = natural_unit(seconds, SECONDS)
    value, spread = with_spread(seconds / unit.size, half_width / unit.size)
    return f"{value} ± {spread} {unit.symbol}" if spread else f"{value} {unit.symbol}"


def ratio_text(ratio: Number, *, empty: str = EMPTY) -> str:
    """How many times as much: ``2.41x``."""
    if ratio is None or is_missing(ratio):
        return empty
    return significant(ratio) + "x"


def share_text(share: Number, *, empty: str = EMPTY) -> str:
    """A part of a whole between 0 and 1: ``62 %``; ``<1 %`` for what would round to nothing."""
    if share is None or is_missing(share):
        return empty
    if 0 < share < 0.005:
        return "<1 %"
    return f"{100 * share:.0f} %"


def duration_text(seconds: Number, *, empty: str = EMPTY) -> str:
    """A time that people wait: ``8 s``, ``1 min 52 s``, ``3 h 20 min``."""
    if seconds is None or is_missing(seconds) or math.isinf(seconds):
        return empty
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def quantity_text(value: Number, scale: Scale, *, digits: int = 3, empty: str = EMPTY) -> str:
    """A value with its natural unit and so many significant digits."""
    if value is None or is_missing(value):
        return empty
    unit = natural_unit(value, scale, digits)
    return f"{in_unit(value, unit, scale, digits)} {unit.symbol}".rstrip()


def in_unit(value: float, unit: Unit, scale: Scale, digits: int = 3) -> str:
    """A value in a given unit, without its symbol; there are no fractions of a byte or a count."""
    if scale.whole and unit == scale.units[0] and math.isfinite(value):
        return str(round(value))
    return significant(value / unit.size, digits)


def natural_unit(value: float, scale: Scale, digits: int = 3) -> Unit:
    """The largest unit in which the value, as rounded for display, is still 1 or more.

    Rounding counts: 1 048 500 bytes are ``1.00 MiB``, never ``1024 KiB``.
    """
    magnitude = abs(value)
    chosen = scale.units[0]
    for unit, larger in zip(scale.units, scale.units[1:], strict=False):
        shown = float(in_unit(magnitude, unit, scale, digits)) * unit.size
        if shown < larger.size:
            break
        chosen = larger
    return chosen


def common_unit(values: Iterable[Number], scale: Scale) -> Unit | None:
    """One unit in which a whole column reads well, or None if the values lie too far apart."""
    magnitudes = [
        abs(value)
        for value in values
        if value is not None and not is_missing(value) and value and math.isfinite(value)
    ]
    if not magnitudes:
        return scale.units[0]
    smallest, largest = min(magnitudes), max(magnitudes)
    middle = math.sqrt(smallest) * math.sqrt(largest)
    return min(
        (
            unit
            for unit in scale.units
            if smallest / unit.size >= SMALLEST_IN_ONE_UNIT
            and largest / unit.size < LARGEST_IN_ONE_UNIT
        ),
        key=lambda unit: abs(math.log(middle / unit.size / BEST_READ)),
        default=None,
    )


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits; digits before the point are never rounded away."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    exponent = _exponent(value, digits)
    if exponent < -6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def with_spread(value: float, half_width: Number) -> tuple[str, str]:
    """A value and its half-width, both to the last digit that the half-width lets mean something.

    The half-width keeps one significant digit, two if the first is 1, as physicists write
    uncertainties; so ``1.2371, 0.0312`` gives ``("1.24", "0.03")``. Without a half-width, or with
    one too small to show, the second text is empty. A value that drowns in its spread keeps two
    digits, since "0 ± 60" would say nothing of a median of 1.2.
    """
    unknown = half_width is None or is_missing(half_width) or not math.isfinite(half_width)
    if half_width is None or unknown or half_width <= 0 or not math.isfinite(value):
        return significant(value), ""
    if half_width > abs(value) / 2 > 0:
        return significant(value, 2), significant(float(f"{half_width:.1e}"), 2)
    place = _exponent(half_width, 1)
    if round(half_width / 10.0**place, 1) < 2:
        place -= 1
    if value:
        finest = _exponent(value, MOST_DIGITS) - (MOST_DIGITS - 1)
        if half_width < 10.0**finest:
            return significant(value, MOST_DIGITS), ""
        place = max(place, finest)
    decimals = max(0, -place)
    return f"{round(value, -place):.{decimals}f}", f"{round(half_width, -place):.{decimals}f}"


def _exponent(value: float, digits: int) -> int:
    """The power of ten of the leading digit, once the value is rounded to so many digits."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])
