"""Rounding up: lengths divided into parts, and padded to whole ones."""

from __future__ import annotations

from aabench.cost.columns import Column


def parts_of(length: Column, part: Column | int) -> Column:
    """How many parts cover a length: the quotient, rounded up."""
    parts: Column = -(-length // part)
    return parts


def padded_to(length: Column, part: Column | int) -> Column:
    """The length of as many whole parts as cover it."""
    padded: Column = parts_of(length, part) * part
    return padded
