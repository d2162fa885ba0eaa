"""Overflow: whether what is computed of a case fits into 64 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import SIZES, Column, LayerColumns
from aabench.errors import UsageError

LIMIT = float(2**63)

LARGEST_SIZE = 2**31
"""No single size of a case may reach this."""

SAFE_SHARE = 2.0**-12
"""Figures of a case whose rough estimate stays below this share of the limit are within it."""


def check_sizes(layers: LayerColumns) -> None:
    """Refuse sizes so large that products of them cannot be trusted.

    Raises:
        UsageError: a size beyond 32 bits.

    """
    for name in SIZES:
        largest = int(getattr(layers, name).max(initial=0))
        if largest >= LARGEST_SIZE:
            raise UsageError(
                "sizes overflow 64 bits",
                got=f"{name} = {largest:,}",
                allowed=f"below {LARGEST_SIZE:,}",
            )


def suspicious_rows(layers: LayerColumns) -> NDArray[np.int64]:
    """The rows whose figures may exceed 64 bits, by a rough estimate that errs on the high side."""
    if not len(layers):
        return np.zeros(0, np.int64)
    largest = {name: float(getattr(layers, name).max()) for name in SIZES}
    largest |= {"stride": 1.0, "downsample": 1.0}
    if _rough_work(**largest) < SAFE_SHARE * LIMIT:
        return np.zeros(0, np.int64)
    work = _rough_work(**{name: getattr(layers, name).astype(np.float64) for name in SIZES})
    return np.flatnonzero(work >= SAFE_SHARE * LIMIT)


def _rough_work(
    *,
    in_channels: Column | float,
    out_channels: Column | float,
    kernel_size: Column | float,
    stride: Column | float,
    downsample: Column | float,
    heads: Column | float,
    dk: Column | float,
    dv: Column | float,
    height: Column | float,
    width: Column | float,
    batch: Column | float,
) -> Column | float:
    """About the MACs of a forward pass, with room for padding; every count and size is near it."""
    step = stride * downsample
    tokens = (height / step + 1) * (width / step + 1)
    convolution = height * width * kernel_size**2 * (in_channels + 16) * (out_channels + 16)
    projections = tokens * (in_channels + dv + 16) * (2 * dk + dv + 16)
    attention = tokens**2 * (dk + dv + heads)
    return batch * (convolution + projections + attention)


def check_figures(figures: dict[str, NDArray[np.float64]]) -> None:
    """Refuse figures, computed inexactly, that 64 bits do not hold.

    Raises:
        UsageError: one of them; the largest is named.

    """
    largest = {name: float(values.max(initial=0)) for name, values in figures.items()}
    name = max(largest, key=lambda key: largest[key])
    if largest[name] >= LIMIT:
        raise UsageError(
            "sizes overflow 64 bits",
            got=f"{name} = {largest[name]:.3g}",
            allowed=f"below {LIMIT:.3g}",
            instead="take a smaller resolution, batch, or number of channels or heads",
        )
