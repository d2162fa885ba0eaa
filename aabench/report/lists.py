"""Lists of names and what they mean, for ``aabench list``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from aabench.report.aligned_text import prose, unwrapped
from aabench.report.terminal import print_to

GAP = 2

NARROWEST_MEANING = 30
"""Cells that the last column needs; with fewer it goes below the others."""


def write_list(head: Sequence[str], rows: Sequence[Sequence[str]], stream: IO[str]) -> None:
    """Write a list to a text stream, as wide as the stream is."""
    print_to(stream, lambda width: name_list(head, rows, width=width))


def name_list(head: Sequence[str], rows: Sequence[Sequence[str]], *, width: int) -> RenderableType:
    """Render rows of a name, perhaps some words about it, and last what it means.

    Args:
        head: the headings.
        rows: as many texts as there are headings; the last one is wrapped.
        width: terminal cells per line.
    """
    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    left = sum(widths[:-1]) + GAP * (len(widths) - 1)
    if width - left < min(NARROWEST_MEANING, widths[-1]):
        return Group(*_stacked(rows, width))
    return Group(*_aligned(head, rows, widths[:-1], width))


def _aligned(
    head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], width: int
) -> Iterator[Text]:
    yield unwrapped(Text(_padded(head, widths) + head[-1], style="bold"))
    for row in rows:
        yield from prose(row[-1], width, lead=_padded(row, widths))


def _stacked(rows: Sequence[Sequence[str]], width: int) -> Iterator[Text]:
    for row in rows:
        words = [row[0], *filter(None, row[1:-1])]
        yield unwrapped(Text((" " * GAP).join(words), style="bold"))
        yield from prose(row[-1], width, lead=" " * 2 * GAP)


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    """All cells but the last, padded to their columns."""
    cells = zip(row, widths, strict=False)
    return "".join(cell + " " * (width - cell_len(cell) + GAP) for cell, width in cells)
