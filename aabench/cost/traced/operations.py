"""The operations of a step: what each computes, moves and launches, to predict its time from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

    flops: int
    bytes_moved: int
    launches: int


class OperationLog:
    """What is written down of the operations while a step runs."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int]] = []

    def note(self, macs: int, bytes_moved: int, launches: int = 1) -> int:
        """An operation, or several that follow each other; returns its place."""
        self._rows.append((2 * macs, bytes_moved, launches))
        return len(self._rows) - 1

    def all(self) -> Operations:
        """Everything so far."""
        return Operations(np.array(self._rows, np.int64).reshape(-1, len(TracedOperation._fields)))


@dataclass(frozen=True, slots=True, eq=False)
class Operations:
    """All operations of a step, in order.

    Attributes:
        rows: one an operation, with the columns of ``TracedOperation``.
    """

    rows: NDArray[np.int64]

    def __iter__(self) -> Iterator[TracedOperation]:
        return (TracedOperation(*row) for row in self.rows.tolist())

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operations) and np.array_equal(self.rows, other.rows)

    __hash__ = None  # type: ignore[assignment]

    def grown(self, other: Operations, grown: int, span: int) -> Operations:
        """Those of a step ``grown`` images larger, where the other step is ``span`` larger.

        Every figure grows evenly with the batch.
        """
        return Operations(self.rows + (other.rows - self.rows) * grown // span)

    def with_work(self, work: Mapping[int, tuple[int, int]]) -> Operations:
        """Those with other bytes moved and operations launched, by their places."""
        rows = self.rows.copy()
        for place, moved_and_launches in work.items():
            rows[place, 1:] = moved_and_launches
        return Operations(rows)
