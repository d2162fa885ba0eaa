"""No position encoding: the attention sees its pixels as an unordered set."""

from __future__ import annotations

from aabench.layers.positions.encoding import PositionEncoding


class NoPosition(PositionEncoding):
    """Encodes nothing, at any resolution (``none`` in Bello et al. 2019, table 7)."""
