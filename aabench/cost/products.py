"""Products: what batched matrix products and relative logits allocate beside their results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aabench.cost.attention import Attention
from aabench.cost.columns import Column
from aabench.cost.timeline import (
    GRADIENTS,
    KQV,
    POSITION_LOGITS,
    WORKSPACE,
    Block,
    Timeline,
)
from aabench.cost.execution import HALF, SINGLE

TILE_ROWS = 64
"""Rows of the tiles that oneDNN's half-precision products work in."""

TILE_COLUMNS = 256
"""Most columns of such a tile."""

LANES = 16
"""Numbers to which such products pad their depth."""


def logits_scratch(attention: Attention) -> Column:
    """Bytes that q k^T takes for a moment: on the CPU, in half precision, tiles of sums per thread."""
    tile = TILE_ROWS * np.minimum(attention.tokens, TILE_COLUMNS) * SINGLE
    return _per_thread(attention, tile)


def values_scratch(attention: Attention) -> Column:
    """Bytes that weights times v take for a moment: tiles of weights, the values, and sums."""
    depth = -(-attention.value_depth // LANES) * LANES
    tile = TILE_ROWS * np.minimum(attention.tokens, TILE_COLUMNS) * HALF
    return _per_thread(attention, tile + attention.tokens * depth * HALF + TILE_ROWS * depth * SINGLE)


def _per_thread(attention: Attention, size: Column) -> Column:
    execution = attention.execution
    return size * (execution.threads if execution.on_cpu and execution.is_half else 0)
