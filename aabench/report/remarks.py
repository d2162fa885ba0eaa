"""Remarks: what rows say in words (reasons, warnings, notes), each once with how many rows say it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aabench.report.aligned_text import cut, one_line

if TYPE_CHECKING:
    import pandas as pd

BETWEEN_REMARKS = " | "
BEFORE_REMEDY = " — "

MOST_ALIKE = 3
"""Remarks that differ in their figures only are told apart up to this number, then summed up."""

MOST_CHARACTERS = 500
"""A longer remark, such as a stack trace, is cut; the machine formats have all of it."""

_FIGURE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Remark:
    """One remark of a table.

    Attributes:
        rows: how many rows say it.
        text: what they say, on one line.
        remedy: what to do about it, or nothing.
        label: the kind of remark, such as a row's status; may be empty.
    """

    rows: int
    text: str
    remedy: str = ""
    label: str = ""


def row_remarks(cells: pd.Series[str], *, alike: int = 1) -> list[Remark]:
    """The remarks of a column whose cells hold several, most frequent first.

    Args:
        cells: texts such as ``remark — remedy | remark``; missing where there is nothing to say.
        alike: how many that differ in their figures only are told apart.
    """
    counts: dict[str, int] = {}
    for cell, rows in cells.dropna().value_counts(sort=False).items():
        for remark in filter(None, map(one_line, str(cell).split(BETWEEN_REMARKS))):
            counts[remark] = counts.get(remark, 0) + int(rows)
    found = []
    for text, rows in _summed_up(counts, alike):
        remark, _, remedy = text.partition(BEFORE_REMEDY)
        found.append(Remark(rows, remark, remedy))
    return _by_rows(found)


def reasons(status: pd.Series[str], reason: pd.Series[str]) -> list[Remark]:
    """Why rows are not measured, by status in the order of first appearance."""
    found: list[Remark] = []
    for label in status.unique():
        given = reason[status == label].dropna().value_counts(sort=False)
        counts: dict[str, int] = {}
        for text, rows in given.items():
            shown = cut(str(text), MOST_CHARACTERS)
            counts[shown] = counts.get(shown, 0) + int(rows)
        parts = [Remark(rows, text, "", label) for text, rows in _summed_up(counts, MOST_ALIKE)]
        found += _by_rows(parts)
    return found


def _by_rows(remarks: Iterable[Remark]) -> list[Remark]:
    return sorted(remarks, key=lambda remark: -remark.rows)


def _summed_up(counts: Mapping[str, int], alike: int) -> Iterator[tuple[str, int]]:
    """Texts with their rows; too many that differ in figures only become one with their ranges."""
    families: dict[str, list[str]] = {}
    for text in counts:
        families.setdefault(_FIGURE.sub("0", text), []).append(text)
    for family in families.values():
        if len(family) <= alike:
            yield from ((text, counts[text]) for text in family)
        else:
            yield _with_ranges(family), sum(counts[text] for text in family)


def _with_ranges(family: Sequence[str]) -> str:
    """One text for several that differ in their figures: each figure as smallest–largest."""
    figures = list(zip(*(_FIGURE.findall(text) for text in family), strict=True))
    ranges = [_range(values) for values in figures]
    between = _FIGURE.split(family[0])
    return "".join(part + figure for part, figure in zip(between, [*ranges, ""], strict=True))


def _range(figures: Sequence[str]) -> str:
    if len(set(figures)) == 1:
        return figures[0]
    ordered = sorted(set(figures), key=_size)
    return f"{ordered[0]}–{ordered[-1]}"


def _size(figure: str) -> float:
    return float(figure.replace(",", ""))
