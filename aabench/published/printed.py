"""What the papers print: the rows of ``figures.csv``, by table."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aabench.errors import UnknownName

FIGURES = Path(__file__).with_name("figures.csv")

PAPERS = {
    "AA": "Attention Augmented Convolutional Networks (Bello et al. 2019, arXiv 1904.09925)",
    "SASA": "Stand-Alone Self-Attention in Vision Models (Ramachandran et al. 2019, arXiv 1906.05909)",
    "BoTNet": "Bottleneck Transformers (Srinivas et al. 2021, arXiv 2101.11605)",
    "Replication": "Simplified Replication of Attention Augmented Convolutional Networks",
}
"""The papers by the short names that ``figures.csv`` calls them by."""

ACCURACIES = {"COCO": "mAP"}
"""What the accuracy of a data set is, where it is not ``TOP_1``; all are in percent."""

TOP_1 = "top-1"


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """One row of a published table; its figures are text, so that no printed digit is lost.

    Attributes:
        paper: one of ``PAPERS``.
        table: the table's number in the paper.
        name: what the row is about, as the paper says it or nearly so.
        dataset: what was trained on.
        resolution: height and width of the images.
        gflops: giga floating-point operations of one image, empty where none are printed.
        params_m: millions of parameters, empty where none are printed.
        accuracy: in percent, by the measure ``accuracy_name``; empty where none is printed.
        provenance: how we know these figures.
    """

    paper: str
    table: str
    name: str
    dataset: str
    resolution: int
    gflops: str
    params_m: str
    accuracy: str
    provenance: str

    @property
    def table_name(self) -> str:
        """What a user types for its table, such as ``aa-3``."""
        return f"{self.paper}-{self.table}".lower()

    @property
    def title(self) -> str:
        """The paper and the table."""
        return f"{PAPERS[self.paper]}, table {self.table}"

    @property
    def accuracy_name(self) -> str:
        """The measure of ``accuracy``."""
        return ACCURACIES.get(self.dataset, TOP_1)


@cache
def printed_rows() -> tuple[PrintedRow, ...]:
    """Every row of every table."""
    with FIGURES.open(newline="", encoding="utf-8") as file:
        return tuple(
            PrintedRow(
                paper=row["paper"],
                table=row["table"],
                name=row["network"],
                dataset=row["dataset"],
                resolution=int(row["input"]),
                gflops=row["gflops"],
                params_m=row["params_m"],
                accuracy=row["top1_or_map"],
                provenance=row["provenance"],
            )
            for row in csv.DictReader(file)
        )


def table_names() -> list[str]:
    """What a user may type, one name a table."""
    return list(dict.fromkeys(row.table_name for row in printed_rows()))


def rows_of(tables: Iterable[str] = ()) -> tuple[PrintedRow, ...]:
    """The rows of some tables, in the order of the papers; of all of them where none is named.

    Args:
        tables: names such as ``aa-3``, ``AA 3`` or, for all tables of a paper, ``aa``.

    Raises:
        UnknownName: no such table; the nearest names are offered.
    """
    asked = {_known(table) for table in tables}
    return tuple(
        row for row in printed_rows() if not asked or asked & {row.table_name, row.paper.lower()}
    )


def _known(table: str) -> str:
    name = "-".join(table.lower().split())
    papers = list(dict.fromkeys(row.paper.lower() for row in printed_rows()))
    if name not in (*table_names(), *papers):
        raise UnknownName("published table", table, [*table_names(), *papers])
    return name
