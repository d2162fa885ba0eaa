"""The boundary of one layer as a table: rows of one axis, a column for each attention form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, Protocol

from rich.console import Group, RenderableType

from aabench.report.aligned_text import AlignedTable, TextColumn, prose
from aabench.report.markdown_text import markdown_row
from aabench.report.quantities import bytes_text
from aabench.report.terminal import print_to

LEGEND = (
    "Predicted, for one layer alone with its input, weights and gradients. A larger value than each does "
    "not fit, or is too close to tell; > marks values at which the search ends."
)


class BoundaryCell(Protocol):
    """What is shown of a cell; ``aabench.fitting.layer_boundary`` has it."""

    @property
    def value(self) -> str:
        """Of the rows' axis."""

    @property
    def attention(self) -> str:
        """The form."""

    @property
    def largest(self) -> Any:
        """The largest value that fits; None where none does."""

    @property
    def beyond(self) -> Any:
        """The next one; None where there is none."""


class Boundary(Protocol):
    """What is shown of a boundary."""

    @property
    def layer(self) -> str:
        """The fixed axes in words."""

    @property
    def device(self) -> str:
        """What it is predicted for."""

    @property
    def budget(self) -> Any:
        """With ``usable_bytes`` and ``source``."""

    @property
    def axis(self) -> str:
        """Of the rows."""

    @property
    def maximized(self) -> str:
        """The other axis."""

    @property
    def cells(self) -> Sequence[BoundaryCell]:
        """By row, then by form."""


def write(boundary: Boundary, stream: IO[str], *, as_markdown: bool = False) -> None:
    """Write a boundary to a text stream, as wide as the stream is."""
    if not as_markdown:
        print_to(stream, lambda width: boundary_table(boundary, width=width))
        return
    columns = _columns(boundary)
    stream.write(f"{_title(boundary)}\n\n")
    stream.write(markdown_row([column.head for column in columns]))
    stream.write(markdown_row(["--:" for _ in columns]))
    for cells in zip(*(column.cells for column in columns), strict=True):
        stream.write(markdown_row(cells))


def boundary_table(boundary: Boundary, *, width: int) -> RenderableType:
    """Render a boundary for so many terminal cells."""
    return Group(
        *prose(_title(boundary), width, style="bold"),
        AlignedTable(_columns(boundary), width),
        *prose(LEGEND, width, style="dim"),
    )


def _title(boundary: Boundary) -> str:
    budget = boundary.budget
    return (
        f"Largest {boundary.maximized} that fits {bytes_text(budget.usable_bytes)} "
        f"({budget.source}) on {boundary.device}: {boundary.layer}"
    )


def _columns(boundary: Boundary) -> list[TextColumn]:
    values = list(dict.fromkeys(cell.value for cell in boundary.cells))
    forms = list(dict.fromkeys(cell.attention for cell in boundary.cells))
    found = {(cell.value, cell.attention): cell for cell in boundary.cells}
    return [
        TextColumn(boundary.axis, boundary.axis.replace("_", " "), values, right=True),
        *(
            TextColumn(form, form, [_cell(found[value, form]) for value in values], right=True)
            for form in forms
        ),
    ]


def _cell(cell: BoundaryCell) -> str:
    if cell.largest is None:
        return "none"
    return f"{'' if cell.beyond is not None else '> '}{cell.largest}"
