"""The boundary of a single layer: the largest value of one axis that fits, for every value of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aabench.cases.axes import AXES
from aabench.cases.case import Case
from aabench.cases.grid import Grid
from aabench.cost.columns import LayerColumns
from aabench.cost.layers import UNKNOWN, predict_layers
from aabench.cost.target import Target
from aabench.errors import UnknownName, UsageError
from aabench.fitting.budget import Budget
from aabench.fitting.door import chosen_target
from aabench.fitting.forms import device_problem, form_names
from aabench.fitting.predictor import process_need
from aabench.fitting.verdict import Judgement

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_ROWS = {"resolution": "7,14,28,56,112", "batch": "1,8,32,128"}
"""The values of the other axis, where none is given several."""

Values = tuple[Callable[[int], Any], int]
"""An axis' values by number from 1 on, and the last number."""

MAXIMIZED: dict[str, Values] = {
    "batch": (lambda number: number, 1 << 16),
    "resolution": (lambda number: number, 1024),
    "heads": (lambda number: 2 ** (number - 1), 10),
    "dk": (lambda number: 8 * number, 512),
    "dv": (lambda number: 8 * number, 512),
    "kappa": (lambda number: number * Decimal("0.05"), 20),
    "upsilon": (lambda number: number * Decimal("0.05"), 20),
}
"""The axes of which the largest value can be looked for; dk and dv in steps of 8 channels."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of the other axis, with one form.

    Attributes:
        value: of the other axis, as people write it.
        attention: the form.
        largest: value of the maximized axis; None where none fits.
        judgement: of that.
        beyond: the next value; None where the search ends, or where there is no such layer.
        beyond_judgement: of that.
    """

    value: str
    attention: str
    largest: Any
    judgement: Judgement | None
    beyond: Any
    beyond_judgement: Judgement | None


@dataclass(frozen=True, eq=False)
class LayerBoundary:
    """What fits of one layer; every figure is predicted.

    Attributes:
        layer: the fixed axes in words.
        device: what it is predicted for.
        budget: what there is.
        axis: whose values are the rows.
        maximized: the axis whose largest value is found.
        cells: by row, then by form.
    """

    layer: str
    device: str
    budget: Budget
    axis: str
    maximized: str
    cells: tuple[Cell, ...]

    @property
    def any_fits(self) -> bool:
        """Whether anything fits at all."""
        return any(cell.largest is not None for cell in self.cells)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per value of the other axis and form; units are bytes."""
        import pandas as pd

        frame = pd.DataFrame([self._row(cell) for cell in self.cells])
        whole = [name for name in frame.columns if str(name).endswith("_bytes")]
        return frame.astype(dict.fromkeys(whole, "Int64"))

    def _row(self, cell: Cell) -> dict[str, Any]:
        judgement, beyond = cell.judgement, cell.beyond_judgement
        return {
            self.axis: cell.value,
            "attention": cell.attention,
            f"largest_{self.maximized}": cell.largest,
            "predicted_peak_bytes": judgement.need.peak_bytes if judgement else None,
            "needed_high_bytes": judgement.needed_bytes if judgement else None,
            "left_bytes": judgement.left_bytes if judgement else None,
            "beyond": cell.beyond,
            "beyond_verdict": beyond.verdict.value if beyond else None,
        }


def fit_layer(
    *,
    maximize: str | None = None,
    budget: str | int | None = None,
    gpu: str | None = None,
    vram: str | None = None,
    arch: str | None = None,
    device: str = "auto",
    reserve: str | None = None,
    extra: str | None = None,
    min_key_depth_per_head: int | None = None,
    **axes: Any,
) -> LayerBoundary:
    """The boundary of what fits of one augmented convolution, over two axes, by form.

    Args:
        maximize: the axis whose largest value is found; the batch unless given.
        budget: as in ``aabench.fit``, as are gpu, vram, arch, device, reserve and extra.
        gpu: see there.
        vram: see there.
        arch: see there.
        device: see there.
        reserve: see there.
        extra: see there.
        min_key_depth_per_head: the floor on dk/Nh where dk comes from kappa.
        **axes: of the layer and the step; at most one of them may have several values: the rows.

    Raises:
        UsageError: a bad axis or value, or no layer that is possible.
    """
    target, free = chosen_target(device, gpu, vram, arch)
    available = Budget.of(budget, card=target.card, free_bytes=free, reserve=reserve, extra=extra)
    maximized = maximize or "batch"
    if maximized not in MAXIMIZED:
        raise UnknownName("--maximize", maximized, MAXIMIZED)
    if maximized in axes:
        raise UsageError(
            f"--{maximized} is what is looked for", got=axes[maximized], instead="leave it out"
        )
    grid = Grid.of(axes, min_key_depth_per_head=min_key_depth_per_head)
    forms = _forms(grid, target)
    axis, values = _rows(grid, maximized)
    search = _Search(grid, axis, maximized, [(v, f) for v in values for f in forms])
    cells = search.cells(target, available)
    return LayerBoundary(
        _words(grid, axis, maximized), target.label, available, axis, maximized, cells
    )


def _forms(grid: Grid, target: Target) -> list[str]:
    asked = [str(name) for name in grid.axes["attention"]]
    if asked == ["auto"]:
        return [name for name in form_names() if not device_problem(name, target)]
    return asked


def _rows(grid: Grid, maximized: str) -> tuple[str, list[Any]]:
    """The other axis and its values."""
    swept = [name for name in grid.swept if name != "attention"]
    if len(swept) > 1:
        raise UsageError(
            "one axis may have several values beside the one that is maximized",
            got=", ".join(swept),
            instead="give one value each of the others",
        )
    if swept:
        return swept[0], list(grid.axes[swept[0]])
    axis = "batch" if maximized == "resolution" else "resolution"
    return axis, list(AXES[axis].parse(DEFAULT_ROWS[axis]))


def _words(grid: Grid, axis: str, maximized: str) -> str:
    """The fixed axes that matter most, in words."""
    shown = ("in_channels", "out_channels", "heads", "dk", "dv", "kappa", "upsilon", "resolution")
    fixed = [name for name in shown if name in grid.axes and name not in (axis, maximized)]
    parts = [f"{name} {_text(grid.axes[name][0])}" for name in fixed]
    return ", ".join([*parts, *(str(grid.axes[name][0]) for name in ("mode", "precision"))])


def _text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


class _Search:
    """All cells being bisected side by side: each round is one prediction of many layers."""

    def __init__(
        self, grid: Grid, axis: str, maximized: str, places: Sequence[tuple[Any, str]]
    ) -> None:
        self._grid, self._axis, self._maximized = grid, axis, maximized
        self._places = places
        self._value, self._most = MAXIMIZED[maximized]

    def cells(self, target: Target, budget: Budget) -> tuple[Cell, ...]:
        """Every cell."""
        count = len(self._places)
        low, high = np.zeros(count, np.int64), np.full(count, self._most + 1)
        while np.any(high - low > 1):
            middle = np.maximum((low + high) // 2, 1)
            judged = self._judged(middle, target, budget)
            passes = np.array([each is not None and each.fits for each in judged])
            open_ = high - low > 1
            low, high = (
                np.where(open_ & passes, middle, low),
                np.where(open_ & ~passes, middle, high),
            )
        best, beyond = self._judged(low, target, budget), self._judged(low + 1, target, budget)
        return tuple(
            Cell(
                _text(value),
                attention,
                self._value(int(number)) if number else None,
                best[place],
                self._value(int(number) + 1) if beyond[place] else None,
                beyond[place],
            )
            for place, ((value, attention), number) in enumerate(
                zip(self._places, low, strict=True)
            )
        )

    def _judged(
        self, numbers: NDArray[np.int64], target: Target, budget: Budget
    ) -> list[Judgement | None]:
        """The judgement of each cell's layer; None where there is no such layer."""
        cases = [
            self._case(place, int(number)) if 0 < number <= self._most else None
            for place, number in zip(self._places, numbers, strict=True)
        ]
        possible = [case for case in cases if case is not None]
        found = iter(_judgements(possible, target, budget) if possible else ())
        return [None if case is None else next(found) for case in cases]

    def _case(self, place: tuple[Any, str], number: int) -> Case | None:
        value, attention = place
        changes = {
            self._axis: (value,),
            self._maximized: (self._value(number),),
            "attention": (attention,),
        }
        axes: Mapping[str, Any] = {**self._grid.axes, **changes}
        (entry,) = Grid(dict(axes), self._grid.min_key_depth_per_head).entries()
        is_layer = entry.problem is None and not entry.case.is_plain
        return entry.case if is_layer else None


def _judgements(cases: Sequence[Case], target: Target, budget: Budget) -> list[Judgement | None]:
    layers = LayerColumns.from_cases(cases, target.device_type, target.threads, target.capability)
    figures = predict_layers(layers)
    bands = target.bands.apply(figures, layers)
    names = ("predicted_peak_bytes", "predicted_peak_low_bytes", "predicted_peak_high_bytes")
    return [
        None
        if peak == UNKNOWN
        else Judgement(
            process_need(int(peak), int(low), int(high), str(basis), target.device_type), budget
        )
        for peak, low, high, basis in zip(
            *(bands[name] for name in names),
            [bands["prediction_basis"].at(row) for row in range(len(cases))],
            strict=True,
        )
    ]
