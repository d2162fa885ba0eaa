"""The looks of attention forms: each has one colour, one marker and one dash in every chart of a page.

The colours are those of Okabe and Ito, which people with any colour vision can tell apart; marker and
dash say the same again without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from aabench.cases.catalogue import ATTENTIONS

INK = "@ink"
"""Stands for the colour of text, black in light and white in dark; the page's script puts it in."""

GREY = "#8c8c8c"


@dataclass(frozen=True, slots=True)
class FormLook:
    """How one form is drawn: colour, marker symbol and dash, by Plotly's names."""

    color: str
    symbol: str
    dash: str


_LOOKS = (
    FormLook("#d55e00", "circle", "solid"),
    FormLook("#e69f00", "square", "dash"),
    FormLook("#cc79a7", "diamond", "dot"),
    FormLook("#0072b2", "triangle-up", "dashdot"),
    FormLook("#009e73", "triangle-down", "longdash"),
    FormLook("#56b4e9", "pentagon", "longdashdot"),
    FormLook(INK, "star", "4px,2px"),
)
_PLAIN = FormLook(GREY, "hexagon", "2px,4px")
_OUTSIDE = ("cross", "bowtie", "hourglass", "star-square")
"""Markers of forms that are not built in: colours come round again, the pairs do not."""


def form_looks(forms: Sequence[str]) -> dict[str, FormLook]:
    """The look of each form: a built-in one always has its own, whichever others are there."""
    looks = {"none": _PLAIN, **dict(zip(ATTENTIONS.names(), _LOOKS, strict=False))}
    outside = (
        FormLook(look.color, symbol, look.dash)
        for symbol, look in zip(cycle(_OUTSIDE), cycle(reversed(_LOOKS)), strict=False)
    )
    return {form: looks.get(form) or next(outside) for form in forms}
