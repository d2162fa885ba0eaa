"""The operations of a step: what each computes, moves and launches, to predict its time from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


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

    def note(self, macs: int, bytes_moved: int, launches: int = 1) -> None:
        """An operation, or several that follow each other."""
        self._rows.append((2 * macs, bytes_moved, launches))

    def all(self) -> Operations:
        """Everything so far."""
        return Operations(tuple(TracedOperation(*row) for row in self._rows))


@dataclass(frozen=True, slots=True)
class Operations:
    """All operations of a step, in order."""

    each: tuple[TracedOperation, ...]

    def __iter__(self) -> Iterator[TracedOperation]:
        return iter(self.each)

    def grown(self, other: Operations, grown: int, span: int) -> Operations:
        """Those of a step ``grown`` images larger, where the other step is ``span`` larger.

        Every figure grows evenly with the batch.
        """
        pairs = zip(self.each, other.each, strict=True)
        return Operations(
            tuple(
                TracedOperation(
                    *(
                        before + (after - before) * grown // span
                        for before, after in zip(*pair, strict=True)
                    )
                )
                for pair in pairs
            )
        )
