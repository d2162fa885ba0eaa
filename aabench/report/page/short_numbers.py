"""Short numbers: figures for pictures, with no more digits than anybody can see in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIGITS = 6
"""Significant digits: a millionth is less than a pixel of any screen."""


def short_numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers to ``DIGITS`` digits, as JSON can hold them; what is not finite is ``None``."""
    import numpy as np

    known = np.isfinite(values).tolist()
    return [
        float(f"{value:.{DIGITS}g}") if there else None
        for value, there in zip(values.tolist(), known, strict=True)
    ]
