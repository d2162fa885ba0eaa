"""Distinct rows: which combinations of values occur in some columns, and where each does."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import Column

TABLE_ENTRIES = 1 << 22
"""Values in so small a range are found in a table, others by sorting."""


def distinct(columns: Iterable[Column]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The combinations of values that occur.

    Args:
        columns: whole numbers or truth values, of one length; at least one column.

    Returns:
        For each combination the place of its first row, and for each row the number of its
        combination.

    """
    numbers: NDArray[np.int64] | None = None
    for column in columns:
        codes, count = _numbered(column)
        numbers = codes if numbers is None else _numbered(numbers * count + codes)[0]
    assert numbers is not None
    first = np.zeros(int(numbers.max(initial=-1)) + 1, np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]  # the last one written is the first row
    return first, numbers


def _numbered(values: Column) -> tuple[NDArray[np.int64], int]:
    """Each value's place among the values that occur, and how many do."""
    if not len(values):
        return np.zeros(0, np.int64), 1
    whole = values.astype(np.int64)
    least = int(whole.min())
    span = int(whole.max()) - least + 1
    if span == 1:
        return np.zeros(len(whole), np.int64), 1
    if span > TABLE_ENTRIES:
        found, codes = np.unique(whole, return_inverse=True)
        return codes.astype(np.int64), len(found)
    occurs = np.zeros(span, np.bool_)
    shifted = whole - least
    occurs[shifted] = True
    places = np.cumsum(occurs, dtype=np.int64) - 1
    return places[shifted], int(places[-1]) + 1
