"""Markdown: cells and rows of its tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ACTIVE = re.compile(
    r"""[\\`*#\[\]|]            # code, emphasis, headings, links, cells
    | (?<![^\W_])_ | _(?![^\W_])  # emphasis begins and ends at a word's edge
    | (?<!\ )(?<!^)~ | ~(?!\d)    # struck out; the mark before a predicted figure is not""",
    re.VERBOSE,
)


def markdown_row(cells: Sequence[str]) -> str:
    """One line of a table, whatever the cells hold."""
    return "| " + " | ".join(map(escaped, cells)) + " |\n"


def escaped(text: str) -> str:
    """Text on one line that Markdown shows as it is, within a cell or a sentence."""
    plain = _ACTIVE.sub(lambda match: "\\" + match[0], " ".join(text.split()))
    return plain.replace("&", "&amp;").replace("<", "&lt;")
