"""A grid as columns: every point of its product, possible or not, without an object per row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aabench.cases.axes import AxisValue
from aabench.cases.choice import AUTO, Situation, choose_attention
from aabench.cases.depths import exact_ratio
from aabench.cases.grid import Grid
from aabench.cases.network_catalogue import NO_ATTENTION
from aabench.cases.validity import RULES
from aabench.cost.columns import LABELS, Column, Labels, LayerColumns
from aabench.cost.distinct import distinct
from aabench.cost.execution import Capability, default_threads
from aabench.cost.rounding import parts_of
from aabench.cost.shapes import WITH_TABLES

SAFE_FACTOR = 2**31
"""Whole numbers below this have products that 64 bits hold."""


@dataclass(frozen=True, slots=True, eq=False)
class GridColumns:
    """Every entry of a grid, in grid order, under the one name of the work that it stands for.

    Attributes:
        grid: what it is made of.
        layers: the cases, canonical as ``Case.canonical`` makes them; those of impossible layers
            are as they were asked for.
        possible: whether the layer exists.
        compiled: whether torch.compile is to wrap it.
        was_rounded: whether its depths are not what the ratios say: the entry has notes on it.

    """

    grid: Grid
    layers: LayerColumns
    possible: NDArray[np.bool_]
    compiled: NDArray[np.bool_]
    was_rounded: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        grid: Grid,
        device_type: str = "cpu",
        threads: int | None = None,
        capability: Capability | None = None,
    ) -> GridColumns:
        """All entries of a grid of augmented convolutions; see ``LayerColumns`` for the device."""
        product = _Product(grid)
        names = ("in_channels", "kernel_size", "stride", "downsample", "heads", "batch")
        sizes: dict[str, Any] = {name: product.numbers(name) for name in names}
        source = "out_channels" if "out_channels" in grid.axes else "in_channels"
        sizes["out_channels"] = product.numbers(source)
        sizes["height"], sizes["width"] = (product.numbers("resolution", side) for side in (0, 1))
        asked = (sizes["out_channels"], sizes["heads"])
        sizes["dk"], unfloored = product.key_depths(*asked)
        sizes["dv"], vanished = product.value_depths(*asked)
        labels: dict[str, Any] = {name: product.labels(name) for name in LABELS}
        layers = LayerColumns(
            **sizes,
            **labels,
            device_type=device_type,
            threads=default_threads() if threads is None else threads,
            capability=capability,
        )
        possible = ~np.any([rule.broken(layers) for rule in RULES], axis=0)
        return cls(
            grid=grid,
            layers=_canonical(layers, possible & (layers.dv == 0)),
            possible=possible,
            compiled=product.numbers("compile").astype(np.bool_),
            was_rounded=((sizes["dk"] > unfloored) & (sizes["dv"] > 0)) | vanished,
        )

    def ratios(self, name: str) -> Column | None:
        """Kappa or upsilon of every entry, as asked for; None if the grid gives the depth instead."""
        return _Product(self.grid).ratios(name)

    def depth_axes(self) -> list[NDArray[np.int32]]:
        """Each entry's places on the axes that its depths follow from."""
        product = _Product(self.grid)
        axes = ("in_channels", "out_channels", "heads", "dk", "dv", "kappa", "upsilon")
        return [product.places(name) for name in axes if name in self.grid.axes]

    def point(self, row: int) -> Grid:
        """The grid of one entry alone."""
        places = np.unravel_index(row, _Product(self.grid).shape)
        axes: dict[str, tuple[AxisValue, ...]] = {
            name: (values[place],)
            for (name, values), place in zip(self.grid.axes.items(), places, strict=True)
        }
        return Grid(axes, self.grid.min_key_depth_per_head)

    def resolved(self) -> tuple[GridColumns, dict[str, NDArray[np.int64]]]:
        """The same entries with a form in the place of ``auto``.

        Returns:
            The entries, and by each sentence on a choice the rows that it is on.

        """
        layers = self.layers
        rows = np.flatnonzero(layers.attention.equal(AUTO) & self.possible)
        if not len(rows):
            return self, {}
        auto = layers.take(rows)
        first, situation_of_row = distinct(_deciding(auto))
        choices = [choose_attention(_situation(auto, int(row))) for row in first]
        attention = layers.attention
        sentences: dict[str, NDArray[np.int64]] = {}
        for choice in dict.fromkeys(choices):
            chosen = np.array([other == choice for other in choices])[situation_of_row]
            where = np.zeros(len(layers), np.bool_)
            where[rows[chosen]] = True
            attention = attention.put(where, choice.name)
            sentences[f"auto chose {choice.name}: {choice.why}"] = rows[chosen]
        return replace(self, layers=replace(layers, attention=attention)), sentences


class _Product:
    """The product of a grid's axes; the last axis runs fastest."""

    def __init__(self, grid: Grid) -> None:
        self._axes = grid.axes
        self._floor = grid.min_key_depth_per_head or 0
        self.shape = tuple(len(values) for values in grid.axes.values())

    def numbers(self, name: str, side: int | None = None) -> Column:
        """The values of an axis of whole numbers, or one side of its pairs."""
        values: list[Any] = list(self._axes[name])
        if side is not None:
            values = [pair[side] for pair in values]
        return self._spread(name, np.array(values, np.int64))

    def ratios(self, name: str) -> Column | None:
        """The values of an axis of ratios as floats, to be shown; None if it is not in the grid."""
        if name not in self._axes:
            return None
        return self._spread(name, np.array([float(str(value)) for value in self._axes[name]]))

    def places(self, name: str) -> NDArray[np.int32]:
        """Which of an axis' values each entry has."""
        return self._spread(name, np.arange(len(self._axes[name]), dtype=np.int32))

    def labels(self, name: str) -> Labels:
        """The values of an axis of names."""
        names = tuple(str(value) for value in self._axes[name])
        return Labels(self.places(name).astype(np.int16), names)

    def key_depths(self, out_channels: Column, heads: Column) -> tuple[Column, Column]:
        """Dk of every entry, and what it were without a floor."""
        if "dk" in self._axes:
            return self.numbers("dk"), self.numbers("dk")
        depth = self._depths("kappa", out_channels, heads)
        return np.maximum(depth, self._floor) * heads, depth * heads

    def value_depths(self, out_channels: Column, heads: Column) -> tuple[Column, NDArray[np.bool_]]:
        """Dv of every entry, and whether it is 0 though the ratio is not."""
        if "dv" in self._axes:
            return self.numbers("dv"), np.zeros(len(heads), np.bool_)
        depths = self._depths("upsilon", out_channels, heads) * heads
        ratio = self.ratios("upsilon")
        assert ratio is not None
        return depths, (depths == 0) & (ratio > 0)

    def _depths(self, ratio: str, out_channels: Column, heads: Column) -> Column:
        """floor(ratio * Fout / Nh), exactly: channels of one head."""
        exact = [exact_ratio(str(value)) for value in self._axes[ratio]]
        above, below = [one.numerator for one in exact], [one.denominator for one in exact]
        # A ratio of many digits has terms that 64 bits do not hold; Python's whole numbers do.
        kind = np.int64 if max(*above, *below) < SAFE_FACTOR else object
        dividend = self._spread(ratio, np.array(above, kind)) * out_channels
        divisor = self._spread(ratio, np.array(below, kind)) * heads
        return np.asarray(dividend // divisor, np.int64)

    def _spread(self, name: str, values: Column) -> Column:
        """One value per entry of the grid, from one per value of the axis."""
        along = [1] * len(self.shape)
        along[list(self._axes).index(name)] = -1
        return np.broadcast_to(values.reshape(along), self.shape).reshape(-1)


def _canonical(layers: LayerColumns, plain: NDArray[np.bool_]) -> LayerColumns:
    """Plain convolutions written in their one way, as ``Layer.plain`` does."""
    if not plain.any():
        return layers
    return replace(
        layers,
        downsample=np.where(plain, 1, layers.downsample),
        heads=np.where(plain, 1, layers.heads),
        dk=np.where(plain, 0, layers.dk),
        position=layers.position.put(plain, "none"),
        attention=layers.attention.put(plain, NO_ATTENTION),
    )


def _deciding(layers: LayerColumns) -> list[Column]:
    """The columns that a situation is made of."""
    step = layers.stride * layers.downsample
    return [
        layers.precision.codes,
        layers.mode.codes,
        layers.position.codes,
        layers.dk // layers.heads,
        layers.dv // layers.heads,
        parts_of(layers.height, step),
        parts_of(layers.width, step),
    ]


def _situation(layers: LayerColumns, row: int) -> Situation:
    step = int(layers.stride[row] * layers.downsample[row])
    height, width = -(-int(layers.height[row]) // step), -(-int(layers.width[row]) // step)
    heads = int(layers.heads[row])
    return Situation(
        device_type=layers.device_type,
        capability=layers.capability,
        precision=layers.precision.at(row),
        training=layers.mode.at(row) != "infer",
        tokens=height * width,
        key_depth_per_head=int(layers.dk[row]) // heads,
        value_depth_per_head=int(layers.dv[row]) // heads,
        height=height,
        width=width,
        has_tables=layers.position.at(row) in WITH_TABLES,
    )
