"""The chart: one picture of a page, drawn by Plotly, with a sentence on how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DECADE = 10.0

Trace = dict[str, Any]
"""One trace by Plotly's schema; text from outside in it has gone through ``chart_text``."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that the reader of a chart chooses.

    Attributes:
        name: what is chosen, such as ``batch``.
        options: what can be chosen.
    """

    name: str
    options: Sequence[str]


@dataclass(frozen=True, slots=True)
class View:
    """What a chart shows of one choice.

    Attributes:
        traces: by Plotly's schema.
        note: what is to be said of this view alone; may be empty.
        layout: what this view's layout has beyond the chart's.
    """

    traces: Sequence[Trace]
    note: str = ""
    layout: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture.

    Attributes:
        key: its name within the page.
        title: its heading.
        reading: one sentence on how to read it.
        views: by the places of the chosen options, such as ``0,2``; one view of key "" without choices.
        choices: what the reader chooses.
        layout: by Plotly's schema.
        start: the key of the view to begin with.
        budget_axis: ``x`` or ``y`` where an axis counts peak bytes, for the lines of budgets; else "".
        budget_unit_bytes: bytes per unit of that axis.
    """

    key: str
    title: str
    reading: str
    views: Mapping[str, View]
    choices: Sequence[Choice] = ()
    layout: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    budget_axis: str = ""
    budget_unit_bytes: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; heading and sentence stand in the page itself."""
        return {
            "key": self.key,
            "choices": [{"name": c.name, "options": list(c.options)} for c in self.choices],
            "views": {
                key: {"traces": list(view.traces), "note": view.note, "layout": dict(view.layout)}
                for key, view in self.views.items()
            },
            "layout": dict(self.layout),
            "start": self.start,
            "budgetAxis": self.budget_axis,
            "budgetUnit": self.budget_unit_bytes,
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that these results cannot fill.

    Attributes:
        title: what it would have been.
        why: one clause, such as "the run has one resolution only".
    """

    title: str
    why: str


def log_axis(title: str, values: Floats) -> dict[str, Any]:
    """A logarithmic axis with plain numbers as ticks: 1, 2, 5 and so on where it spans decades."""
    axis = {"type": "log", "title": {"text": title}, "tickformat": "~g"}
    spans_decades = len(values) and values.max() > DECADE * values.min() > 0
    return axis | {"dtick": "D2"} if spans_decades else axis
