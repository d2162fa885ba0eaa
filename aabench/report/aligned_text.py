"""Aligned text: columns of cells as terminal lines, equally readable on a screen and in a pipe.

Unlike a boxed table, a row that has no figures can say why in the space where they would stand.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

TITLE_INDENT = 2
"""Blanks before a row that stands below its title."""

WIDEST_PROSE = 100
"""Sentences are wrapped here even where the terminal is wider."""

_ESCAPE_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One column of ready-made text.

    Attributes:
        name: what messages call it.
        head: its heading.
        cells: one text per row.
        right: whether to align to the right, as numbers are.
        group: a heading over this column and its neighbours of the same group.
        styles: one rich style per row, or none at all.
        gap: blanks before it.
        printed_head: its heading in print, where a unit stands apart: ``time / ms``; empty where that is
            the head and its group.
    """

    name: str
    head: str
    cells: Sequence[str]
    right: bool = False
    group: str = ""
    styles: Sequence[str] = ()
    gap: int = 2
    printed_head: str = ""

    @property
    def width(self) -> int:
        """Terminal cells of the widest text in it."""
        return max(map(cell_len, (self.head, *self.cells)), default=0)

    @property
    def own_head(self) -> str:
        """A heading that can be understood without one above it, with the unit as papers write it."""
        return self.printed_head or f"{self.head} {self.group}".rstrip()


@dataclass(frozen=True)
class AlignedTable:
    """Columns under a ruled head; a rich renderable.

    Attributes:
        columns: from left to right, equally long.
        width: terminal cells that remarks and titles may fill.
        remarks: by row, a text that stands in place of the cells from ``remark_from`` on.
        remark_from: the first column that a remark may cover.
        titles: texts that stand above each row, where cells for them would be too narrow.
    """

    columns: Sequence[TextColumn]
    width: int
    remarks: Mapping[int, str] = field(default_factory=dict)
    remark_from: int = 0
    titles: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines; the rule under the head is drawn only where somebody looks at it."""
        drawn = console.is_terminal and not options.ascii_only
        dash = "─" if drawn else "-"
        if any(column.group for column in self.columns):
            yield self._groups(dash)
        if self.columns:
            yield self._head()
            ruled = min(self.width, self._indent().cell_len + total_width(self.columns))
            yield unwrapped(Text(dash * ruled, style="dim"))
        yield from self.rows()

    def rows(self) -> Iterator[Text]:
        """The lines below the head."""
        count = len(self.columns[0].cells) if self.columns else len(self.titles)
        for index in range(count):
            if self.titles:
                yield from prose(self.titles[index], self.width)
            if self.columns or index in self.remarks:
                yield self._row(index)

    def _indent(self) -> Text:
        return Text(" " * TITLE_INDENT if self.titles else "")

    def _head(self) -> Text:
        line = self._indent()
        for position, column in enumerate(self.columns):
            _append(line, column, column.head, "bold", first=position == 0)
        return unwrapped(line)

    def _groups(self, dash: str) -> Text:
        """Each group's heading over its columns."""
        line = Text()
        start = self._indent().cell_len
        spans: dict[str, tuple[int, int]] = {}
        for position, column in enumerate(self.columns):
            begin = start + (column.gap if position else 0)
            start = begin + column.width
            if column.group:
                spans[column.group] = (spans.get(column.group, (begin, 0))[0], start)
        for group, (begin, end) in spans.items():
            label = _ruled_label(group, end - begin, dash)
            line.append(" " * (min(begin, end - cell_len(label)) - line.cell_len))
            line.append(label, style="dim")
        return unwrapped(line)

    def _row(self, index: int) -> Text:
        remark = self.remarks.get(index)
        shown = self.columns if remark is None else self.columns[: self.remark_from]
        line = self._indent()
        for position, column in enumerate(shown):
            style = column.styles[index] if column.styles else ""
            _append(line, column, column.cells[index], style, first=position == 0)
        if remark is not None:
            line.append("  " if shown else "")
            line.append(cut(remark, self.width - line.cell_len), style="dim")
        return unwrapped(line)


def total_width(columns: Sequence[TextColumn]) -> int:
    """Terminal cells of a line of these columns."""
    gaps = sum(column.gap for column in columns[1:])
    return gaps + sum(column.width for column in columns)


def fitted(
    columns: Sequence[TextColumn], width: int, expendable: Iterable[str]
) -> tuple[list[TextColumn], list[TextColumn]]:
    """The columns that fit and those left out, taking away the expendable ones in their order.

    Where even the others are too wide, they move closer together; they may still not fit.
    """
    kept, dropped = list(columns), []
    for name in expendable:
        if total_width(kept) <= width:
            break
        dropped += [column for column in kept if column.name == name]
        kept = [column for column in kept if column.name != name]
    if total_width(kept) > width:
        kept = [replace(column, gap=1) for column in kept]
    return kept, dropped


def prose(
    text: str, width: int, *, lead: str = "", style: str = "", lead_style: str = ""
) -> Iterator[Text]:
    """A sentence wrapped under its own first word, after a lead such as a count."""
    room = max(20, min(width, WIDEST_PROSE) - cell_len(lead))
    words = one_line(text)
    # Paths and names stay whole, to be copied; a terminal wraps them by itself.
    lines = textwrap.wrap(words, room, break_on_hyphens=False, break_long_words=False) or [""]
    for number, content in enumerate(lines):
        line = Text()
        line.append(lead if number == 0 else " " * cell_len(lead), style=lead_style)
        line.append(content, style=style)
        yield unwrapped(line)


def wrapped(parts: Iterable[Text], width: int) -> Iterator[Text]:
    """Pieces that belong together, with commas between them, on as few lines as they need."""
    line = Text()
    for part in parts:
        if line and line.cell_len + 2 + part.cell_len > width:
            line.append(",")
            yield unwrapped(line)
            line = Text()
        line = line + ", " + part if line else line + part
    yield unwrapped(line)


def one_line(text: str) -> str:
    """Foreign text as one harmless line: no escape sequences, no control characters, no breaks."""
    return _BLANKS.sub(" ", _ESCAPE_SEQUENCES.sub("", text)).strip()


def cut(text: str, width: int) -> str:
    """A text cut to a width, with an ellipsis if anything was cut."""
    text = one_line(text)
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip(" ,;:") + "…"


def unwrapped(text: Text) -> Text:
    """The same text, as a line that no console wraps and that ends in no blanks."""
    text.no_wrap, text.overflow = True, "ignore"
    text.rstrip()
    return text


def _append(line: Text, column: TextColumn, cell: str, style: str, *, first: bool) -> None:
    padding = " " * (column.width - cell_len(cell))
    if not first:
        line.append(" " * column.gap)
    if column.right:
        line.append(padding)
    line.append(cell, style=style)
    if not column.right:
        line.append(padding)


def _ruled_label(label: str, width: int, dash: str) -> str:
    """A label between dashes that span its columns, where there is room for them."""
    dashes = width - cell_len(label) - 2
    if dashes < 2:
        return label
    return f"{dash * (dashes // 2)} {label} {dash * (dashes - dashes // 2)}"
