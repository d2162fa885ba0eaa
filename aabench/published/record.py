"""The record: our own figures for the printed rows, checked in, so that one that moves is noticed.

``python -m aabench.published.record`` writes the record anew, into the package that it is run from.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from aabench.errors import RunError
from aabench.published.comparison import Comparison, compare
from aabench.published.printed import rows_of

if TYPE_CHECKING:
    import pandas as pd

RECORDED = Path(__file__).with_name("recorded.csv")

KEYS = ("table", "printed_as")
FIGURES = ("params", "flops")
"""The exact figures that are kept of each row."""

Record = Mapping[tuple[str, str], tuple[int, int]]
"""The figures by table and printed name."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A figure of ours that is not the recorded one.

    Attributes:
        table: the row's table.
        printed_as: the row's name.
        figure: one of ``FIGURES``.
        recorded: None where nothing is.
        got: None where the row is no longer there.
    """

    table: str
    printed_as: str
    figure: str
    recorded: int | None
    got: int | None


MOVED_COLUMNS = tuple(field.name for field in fields(Moved))


def read_record(path: Path = RECORDED) -> Record:
    """The record.

    Raises:
        RunError: it is not there or not readable.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                (row["table"], row["printed_as"]): (int(row["params"]), int(row["flops"]))
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RunError(
            f"the record of our figures cannot be read: {path}: {type(error).__name__}: {error}; "
            "python -m aabench.published.record writes it anew"
        ) from error


def write_record(comparisons: Iterable[Comparison], path: Path = RECORDED) -> int:
    """Write the record of all rows; the answer is how many there are."""
    figures = _figures(comparisons)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*KEYS, *FIGURES))
        writer.writerows((*key, *values) for key, values in figures.items())
    return len(figures)


def moved_figures(
    comparisons: Iterable[Comparison], record: Record, tables: Iterable[str] = ()
) -> list[Moved]:
    """Our figures that are not the recorded ones, rows that only one side has included.

    Args:
        comparisons: all rows of the tables.
        record: what was recorded.
        tables: those that were compared; recorded rows of others are not looked for.
    """
    current = _figures(comparisons)
    asked = {row.table_name for row in rows_of(tables)}
    known = {key: values for key, values in record.items() if not tables or key[0] in asked}
    nothing = (None,) * len(FIGURES)
    return [
        Moved(*key, figure, before, after)
        for key in {**known, **current}
        for figure, before, after in zip(
            FIGURES, known.get(key, nothing), current.get(key, nothing), strict=True
        )
        if before != after
    ]


def moved_frame(moved: Iterable[Moved]) -> pd.DataFrame:
    """Moved figures as a table with ``MOVED_COLUMNS``."""
    import pandas as pd

    records = [[getattr(each, name) for name in MOVED_COLUMNS] for each in moved]
    return pd.DataFrame(records, columns=pd.Index(MOVED_COLUMNS)).astype(
        {"recorded": "Int64", "got": "Int64"}
    )


def _figures(comparisons: Iterable[Comparison]) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (each.row.table_name, each.row.name): (each.count.params, each.count.flops)
        for each in comparisons
    }


if __name__ == "__main__":
    rows = write_record(compare(started=lambda network: print(network, file=sys.stderr)))
    print(f"{rows} rows recorded in {RECORDED}")
