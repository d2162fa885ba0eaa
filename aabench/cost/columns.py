"""Cases as columns: what a million layers are, as a few arrays and no object per row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aabench.cases.case import OPTIMIZERS, Case
from aabench.cost.execution import Capability, default_threads
from aabench.errors import UsageError

Column = NDArray[Any]
"""One number per case: int64, or float64 where sizes beyond 64 bits are looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A column of names: a small whole number per case, and the names that the numbers stand for."""

    codes: NDArray[np.integer[Any]]
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
        return self.names[int(self.codes[row])]

    def take(self, rows: Column) -> Labels:
        """The names in some rows."""
        return Labels(self.codes[rows], self.names)

    def equal(self, name: str) -> NDArray[np.bool_]:
        """Where the name is this one."""
        code = self.names.index(name) if name in self.names else -1
        return np.asarray(self.codes == code)

    def put(self, where: NDArray[np.bool_], name: str) -> Labels:
        """The column with this name in some rows."""
        names = self.names if name in self.names else (*self.names, name)
        return Labels(np.where(where, np.int16(names.index(name)), self.codes), names)


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
"""The columns of whole numbers that a ``Layer`` has under the same name."""

SIZES = (*LAYER_SIZES, "batch")
"""All columns of whole numbers."""

LABELS = ("position", "mode", "precision", "attention", "memory_format", "optimizer")
"""The columns of names."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerColumns:
    """Layer cases as columns of one length; the fields are those of ``Layer`` and ``Case``.

    The cases are possible layers and ``auto`` is resolved. A plain convolution has dv = 0; what it
    says of attention otherwise is not looked at.

    Attributes:
        in_channels: and all sizes down to ``batch``: int64.
        position: and all names down to ``optimizer``; the last counts in ``train`` only.
        device_type: whose memory is predicted: ``cpu``, ``cuda`` or another of torch's names.
        threads: CPU threads, for each of which some kernels take scratch memory.
        capability: of the CUDA device, such as (9, 0): it decides which kernels run. None where there
            is no such device or it is not known.

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
    device_type: str
    threads: int
    capability: Capability | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in (*SIZES, *LABELS)}
        if len(set(lengths.values())) > 1:
            raise UsageError("the columns of the cases differ in length", got=lengths)

    def __len__(self) -> int:
        return len(self.batch)

    @classmethod
    def from_cases(
        cls,
        cases: Sequence[Case],
        device_type: str = "cpu",
        threads: int | None = None,
        capability: Capability | None = None,
    ) -> LayerColumns:
        """The columns of single cases.

        Args:
            cases: resolved cases.
            device_type: see the attribute.
            threads: see the attribute; by default as many as torch would use here.
            capability: see the attribute.

        Raises:
            UsageError: a size that 64 bits do not hold.

        """
        columns: dict[str, Any] = {
            name: _whole([getattr(case.layer, name) for case in cases]) for name in LAYER_SIZES
        }
        columns |= {
            name: Labels.of([getattr(case, name) for case in cases]) for name in LABELS[1:-1]
        }
        return cls(
            **columns,
            batch=_whole([case.batch for case in cases]),
            position=Labels.of([case.layer.position for case in cases]),
            optimizer=Labels.of([case.optimizer or OPTIMIZERS[0] for case in cases]),
            device_type=device_type,
            threads=default_threads() if threads is None else threads,
            capability=capability,
        )

    def take(self, rows: Column) -> LayerColumns:
        """The same columns for some rows, in the order of the rows."""
        return self.mapped(lambda sizes: sizes[rows], lambda labels: labels.take(rows))

    def as_floats(self) -> LayerColumns:
        """The same cases with sizes that do not overflow, and are not exact."""
        return self.mapped(lambda sizes: sizes.astype(np.float64), lambda labels: labels)

    def mapped(
        self, of_sizes: Callable[[Column], Column], of_labels: Callable[[Labels], Labels]
    ) -> LayerColumns:
        """The columns that two functions make of these."""
        columns: dict[str, Any] = {name: of_sizes(getattr(self, name)) for name in SIZES}
        columns |= {name: of_labels(getattr(self, name)) for name in LABELS}
        return replace(self, **columns)


def _whole(values: Sequence[int]) -> Column:
    try:
        return np.array(values, np.int64)
    except OverflowError:
        raise UsageError(
            "sizes overflow 64 bits", got=max(values, key=abs), allowed=f"up to {2**63 - 1:,}"
        ) from None
