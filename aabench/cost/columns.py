"""Cases as columns: what a million layers are, as a few arrays and no object per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aabench.cases.case import Case
from aabench.errors import UsageError

Column = NDArray[Any]
"""One value per case: int64, or float64 where sizes beyond 64 bits are looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A column of names: a small whole number per case and the names that the numbers stand for."""

    codes: NDArray[np.int16]
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str]) -> Labels:
        """The column of these names."""
        names = tuple(dict.fromkeys(values))
        place = {name: code for code, name in enumerate(names)}
        return cls(np.array([place[value] for value in values], np.int16), names)

    def __len__(self) -> int:
        return len(self.codes)

    def at(self, row: int) -> str:
        """The name in one row."""
        return self.names[self.codes[row]]

    def take(self, rows: Column) -> Labels:
        """The names of some rows."""
        return Labels(self.codes[rows], self.names)

    def equal(self, name: str) -> NDArray[np.bool_]:
        """Where the name is this one."""
        if name not in self.names:
            return np.zeros(len(self.codes), np.bool_)
        return self.codes == self.names.index(name)


@dataclass(frozen=True, slots=True, eq=False)
class LayerColumns:
    """Layer cases as columns of one length; the fields are those of ``Layer`` and ``Case``.

    The cases are possible layers and ``auto`` is resolved. A plain convolution has dv = 0; what it
    says of attention otherwise is not looked at.

    Attributes:
        in_channels: to ``width``: as in ``Layer``; sizes are int64.
        optimizer: a name in every row; it counts in ``train`` only.
        device_type: ``cpu``, ``cuda`` or another of torch's names: whose memory is predicted.
    """

    in_channels: Column
    out_channels: Column
    kernel_size: Column
    stride: Column
    downsample: Column
    heads: Column
    dk: Column
    dv: Column
    height: Column
    width: Column
    batch: Column
    position: Labels
    mode: Labels
    precision: Labels
    attention: Labels
    memory_format: Labels
    optimizer: Labels
    device_type: str = "cpu"
    threads: int = 2

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)[:-2]}
        if len(set(lengths.values())) > 1:
            raise UsageError("columns of unequal length", got=lengths)

    def __len__(self) -> int:
        return len(self.batch)

    @classmethod
    def from_cases(cls, cases: Sequence[Case], device_type: str = "cpu") -> LayerColumns:
        """The columns of single cases.

        Raises:
            UsageError: a size that 64 bits do not hold.
        """
        sizes = {
            name: _whole([getattr(case.layer, name) for case in cases]) for name in LAYER_SIZES
        }
        labels = {
            name: Labels.of([getattr(case, name) for case in cases])
            for name in ("mode", "precision", "attention", "memory_format")
        }
        return cls(
            **sizes,
            **labels,
            batch=_whole([case.batch for case in cases]),
            position=Labels.of([case.layer.position for case in cases]),
            optimizer=Labels.of([case.optimizer or "sgd-momentum" for case in cases]),
            device_type=device_type,
        )

    def take(self, rows: Column) -> LayerColumns:
        """The same columns for some rows, in this order."""
        return self._mapped(lambda column: column[rows], lambda labels: labels.take(rows))

    def _mapped(self, of_column: Any, of_labels: Any) -> LayerColumns:
        changed = {
            field.name: (of_labels if isinstance(column, Labels) else of_column)(column)
            for field in fields(self)[:-2]
            for column in (getattr(self, field.name),)
        }
        return replace(self, **changed)


LAYER_SIZES = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "downsample",
    "heads",
    "dk",
    "dv",
    "height",
    "width",
)
"""The columns that are sizes of the layer and of its input."""


def _whole(values: Sequence[int]) -> Column:
    try:
        return np.array(values, np.int64)
    except OverflowError:
        raise UsageError(
            "sizes overflow 64 bits", got=max(values), allowed=f"up to {2**63 - 1:,}"
        ) from None
