"""The operations of a step: what each computes, moves and launches, to predict its time from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class TracedOperation(NamedTuple):
    """One operation, as the roofline wants it.

    Attributes:
        flops: floating-point operations of its products, two a multiply-accumulate.
        bytes_moved: bytes of what it reads and of what it writes.
        launches: operations that the host starts for it.
    """

    flops: float
    bytes_moved: float
    launches: int


class OperationLog:
    """What is written down of the operations while a step runs."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int]] = []

    def note(self, macs: int, bytes_moved: int, launches: int = 1) -> None:
        """An operation, or several that follow each other."""
        self._rows.append((2 * macs, bytes_moved, launches))

    def columns(self) -> Operations:
        """The log as columns."""
        return Operations(np.array(self._rows, np.int64).reshape(-1, 3))


@dataclass(frozen=True, slots=True, eq=False)
class Operations:
    """All operations of a step, in order.

    Attributes:
        table: FLOPs, bytes moved and launches, one row per operation.
    """

    table: NDArray[np.int64]

    def __iter__(self) -> Iterator[TracedOperation]:
        return (TracedOperation(*row) for row in self.table.tolist())

    def grown(self, other: Operations, share: float) -> Operations:
        """So far on the way to another step's, which may be beyond it."""
        return Operations(np.rint(self.table + (other.table - self.table) * share).astype(np.int64))
