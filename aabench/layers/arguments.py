"""What a layer accepts as a count, a resolution or a ratio, and what it says of anything else."""

from __future__ import annotations

from fractions import Fraction

from aabench.cases.depths import Ratio, exact_ratio
from aabench.errors import UsageError


def count(name: str, value: int, least: int = 1) -> int:
    """A count as it is.

    Raises:
        UsageError: not a whole number, or below the least.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(
            f"{name} is no {'positive ' if least else ''}count",
            got=value,
            allowed=f"whole numbers from {least}",
        )
    return value


def resolution_pair(resolution: int | tuple[int, int]) -> tuple[int, int]:
    """(H, W) of one number or two.

    Raises:
        UsageError: neither one positive number nor two.
    """
    pair = (resolution, resolution) if isinstance(resolution, int) else resolution
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise UsageError("resolution is no pair", got=resolution, allowed="H or (H, W)")
    return count("resolution", pair[0]), count("resolution", pair[1])


def ratio(name: str, value: Ratio, most: int | None = None) -> Fraction:
    """A ratio in exact arithmetic.

    Raises:
        UsageError: no number, negative, or above the most.
    """
    allowed = "0 or more" if most is None else f"0 to {most}"
    try:
        exact = exact_ratio(value)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UsageError(f"{name} is no ratio", got=value, allowed=allowed) from error
    if exact < 0 or (most is not None and exact > most):
        raise UsageError(f"{name} is out of range", got=value, allowed=allowed)
    return exact
