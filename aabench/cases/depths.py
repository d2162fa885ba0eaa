"""Key and value depths from the ratios kappa = dk/Fout and upsilon = dv/Fout, in exact arithmetic."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

PUBLISHED_KEY_DEPTH_PER_HEAD = 20
"""The floor on dk/Nh in the published networks (Bello et al. 2019, section 4)."""

Ratio = Decimal | Fraction | float | int | str


def exact_ratio(ratio: Ratio) -> Fraction:
    """A ratio as the decimal it was written as: 0.1 is one tenth, not its nearest double."""
    return Fraction(str(ratio)) if isinstance(ratio, float) else Fraction(ratio)


def key_depth(kappa: Ratio, out_channels: int, heads: int, minimum_per_head: int = 0) -> int:
    """Dk = max(minimum * Nh, floor(kappa * Fout / Nh) * Nh), a multiple of the heads."""
    return max(minimum_per_head, int(exact_ratio(kappa) * out_channels / heads)) * heads


def value_depth(upsilon: Ratio, out_channels: int, heads: int) -> int:
    """Dv = floor(upsilon * Fout / Nh) * Nh, a multiple of the heads."""
    return int(exact_ratio(upsilon) * out_channels / heads) * heads
