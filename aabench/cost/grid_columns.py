"""A grid as columns: every point of its product, possible or not, without an object per row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aabench.cases.axes import AXES, AxisValue
from aabench.cases.case import OPTIMIZERS, Layer
from aabench.cases.depths import exact_ratio
from aabench.cases.grid import Grid
from aabench.cases.validity import RULES
from aabench.cost.columns import LAYER_SIZES, Column, Labels, LayerColumns

POSSIBLE = -1
"""Where ``GridColumns.broken_rule`` names no rule."""

SAFE = 2**31
"""Factors below this have a product that 64 bits hold."""


@dataclass(frozen=True, slots=True, eq=False)
class GridColumns:
    """Every entry of a grid, in grid order.

    Attributes:
        layers: the cases; ``auto`` is not resolved, and impossible layers are among them.
        broken_rule: place in ``aabench.cases.validity.RULES`` of the rule that the layer breaks,
            ``POSSIBLE`` if none.
        unfloored_dk: dk before the floor per head; dk itself where it was given.
        kappa: the ratio asked for in each row; None where dk was given.
        upsilon: the ratio asked for in each row; None where dv was given.
        compiled: whether torch.compile is to wrap the layer.

    """

    layers: LayerColumns
    broken_rule: Column
    unfloored_dk: Column
    kappa: Column | None
    upsilon: Column | None
    compiled: Column

    @classmethod
    def of(cls, grid: Grid, device_type: str) -> GridColumns:
        """All entries of a grid, for a device."""
        product = _Product(grid)
        sizes = {name: product.numbers(name) for name in ("in_channels", "kernel_size", "stride")}
        sizes |= {name: product.numbers(name) for name in ("downsample", "heads", "batch")}
        sizes["out_channels"] = product.numbers(
            "out_channels" if "out_channels" in grid.axes else "in_channels"
        )
        sizes["height"], sizes["width"] = (product.numbers("resolution", side) for side in (0, 1))
        unfloored_dk, sizes["dk"] = _key_depths(grid, product, sizes)
        sizes["dv"] = _value_depths(grid, product, sizes)
        names = ("position", "mode", "precision", "attention", "memory_format", "optimizer")
        labels = {name: product.labels(name) for name in names}
        layers = LayerColumns(**sizes, **labels, device_type=device_type)
        return cls(
            layers=layers,
            broken_rule=broken_rules(layers),
            unfloored_dk=unfloored_dk,
            kappa=product.ratios("kappa"),
            upsilon=product.ratios("upsilon"),
            compiled=product.numbers("compile").astype(np.bool_),
        )


class _Product:
    """The product of a grid's axes; the last axis runs fastest."""

    def __init__(self, grid: Grid) -> None:
        self._axes = grid.axes
        self._shape = tuple(len(values) for values in grid.axes.values())

    def numbers(self, name: str, side: int | None = None) -> Column:
        """The values of an axis of whole numbers, or one side of its pairs."""
        values = [value if side is None else value[side] for value in self._values(name)]
        return self._spread(name, np.array(values, np.int64))

    def ratios(self, name: str) -> Column | None:
        """The values of an axis of ratios as floats, for tables; None if it is not in the grid."""
        if name not in self._axes:
            return None
        return self._spread(name, np.array([float(value) for value in self._values(name)]))

    def labels(self, name: str) -> Labels:
        """The values of an axis of names."""
        names = tuple(str(value) for value in self._values(name))
        return Labels(self._spread(name, np.arange(len(names), dtype=np.int16)), names)

    def depths(self, ratio: str, out_channels: Column, heads: Column) -> Column:
        """floor(ratio * Fout / Nh), exactly: the depth of one head."""
        fractions = [exact_ratio(value) for value in self._values(ratio)]
        numerators, denominators = (
            [fraction.numerator for fraction in fractions],
            [fraction.denominator for fraction in fractions],
        )
        # A ratio of many digits has terms that 64 bits do not hold: Python's whole numbers do.
        kind = np.int64 if max(*numerators, *denominators) < SAFE else object
        above = self._spread(ratio, np.array(numerators, kind)) * out_channels
        below = self._spread(ratio, np.array(denominators, kind)) * heads
        return np.asarray(above // below, np.int64)

    def _values(self, name: str) -> tuple[Any, ...]:
        return self._axes[name]

    def _spread(self, name: str, values: Column) -> Column:
        """One value per entry of the grid from one value per value of the axis."""
        place = list(self._axes).index(name)
        along = [1] * len(self._shape)
        along[place] = -1
        return np.broadcast_to(values.reshape(along), self._shape).reshape(-1)
