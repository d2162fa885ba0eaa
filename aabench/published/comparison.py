"""The comparison: every printed row beside what our network for it costs, and why they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from aabench.published.printed import PrintedRow, rows_of
from aabench.published.rebuilds import Rebuild, rebuild_of

if TYPE_CHECKING:
    import pandas as pd

    from aabench.published.counting import NetworkCount

NEAR_FLOPS = 0.05
"""Relative difference up to which GFLOPs count as near: papers count attention in several ways."""

NEAR_PARAMS = 0.01
"""Relative difference up to which parameters count as near: a layer more or less is beyond it."""


class Verdict(StrEnum):
    """How our figures stand to the printed ones."""

    AS_PRINTED = "as printed"
    NEAR = "near"
    NOT_REPRODUCED = "not reproduced"
    NOT_PRINTED = "not printed"


@dataclass(frozen=True, slots=True)
class Figure:
    """A printed figure and ours.

    Attributes:
        printed: the text in the paper, empty if it prints none.
        ours: in the unit of ``printed``.
    """

    printed: str
    ours: float

    @property
    def decimals(self) -> int:
        """Decimals that the paper prints."""
        return len(self.printed.partition(".")[2])

    @property
    def difference(self) -> float | None:
        """Ours less the printed one; None where none is printed."""
        return self.ours - float(self.printed) if self.printed else None

    @property
    def is_as_printed(self) -> bool:
        """Whether ours, rounded to the printed digits, is the printed one."""
        return f"{self.ours:.{self.decimals}f}" == self.printed

    def is_near(self, share: float) -> bool:
        """Whether the two differ by no more than a share of the printed one."""
        return self.difference is not None and abs(self.difference) <= share * float(self.printed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One printed row and our network for it.

    Attributes:
        row: what the paper prints.
        rebuild: our network.
        count: what that network costs for the row's images.
    """

    row: PrintedRow
    rebuild: Rebuild
    count: NetworkCount

    @property
    def title(self) -> str:
        """The table it is in: what a user types for it, the paper and its number there."""
        return f"{self.row.table_name}: {self.row.title}"

    @property
    def network(self) -> str:
        """Our network as a user names it, with its options; those of one value share it."""
        by_value: dict[str, list[str]] = {}
        for name, value in self.rebuild.options:
            by_value.setdefault(value, []).append(name)
        options = ["=".join([*names, value]) for value, names in by_value.items()]
        return " ".join([self.rebuild.network, *options])

    @property
    def trained_on(self) -> str:
        """The data set, and the size of its images in pixels."""
        return f"{self.row.dataset} {self.row.resolution} px"

    @property
    def accuracy(self) -> str:
        """The printed accuracy in percent, empty where none is printed."""
        return self.row.accuracy

    @property
    def accuracy_name(self) -> str:
        """Its measure."""
        return self.row.accuracy_name

    @property
    def provenance(self) -> str:
        """How we know the printed figures."""
        return self.row.provenance

    @property
    def gflops(self) -> Figure:
        """Giga floating-point operations of one image, two a multiply-accumulate."""
        return Figure(self.row.gflops, self.count.flops / 1e9)

    @property
    def params_m(self) -> Figure:
        """Millions of parameters."""
        return Figure(self.row.params_m, self.count.params / 1e6)

    @property
    def verdict(self) -> Verdict:
        """How the two stand to each other."""
        if not (self.row.gflops and self.row.params_m):
            return Verdict.NOT_PRINTED
        if self.gflops.is_as_printed and self.params_m.is_as_printed:
            return Verdict.AS_PRINTED
        if self.gflops.is_near(NEAR_FLOPS) and self.params_m.is_near(NEAR_PARAMS):
            return Verdict.NEAR
        return Verdict.NOT_REPRODUCED

    @property
    def remarks(self) -> tuple[str, ...]:
        """What we chose, and why our figures differ from the printed ones, if they do."""
        return tuple(filter(None, self._remarks()))

    def _remarks(self) -> Iterator[str]:
        yield self.rebuild.choice
        if self.verdict in (Verdict.NEAR, Verdict.NOT_REPRODUCED):
            yield self.rebuild.difference
            if self.row.paper == "AA" and self.count.map_macs and not self.gflops.is_as_printed:
                yield self._halved()

    def _halved(self) -> str:
        """The count that fits several of the rows with attention, which is not ours."""
        halved = Figure(self.row.gflops, (self.count.flops - self.count.map_macs) / 1e9)
        fits = ", the printed figure" if halved.is_as_printed else ""
        return (
            "At 1 FLOP a multiply-accumulate, not our 2, in the products of attention maps: "
            f"{halved.ours:.{halved.decimals + 1}f} GFLOP{fits}."
        )


def compare(
    tables: Iterable[str] = (), *, started: Callable[[str], None] | None = None
) -> Iterator[Comparison]:
    """Every row of some published tables beside ours, one after the other; up to 1 s each.

    Args:
        tables: as for ``aabench.published.printed.rows_of``; all by default.
        started: told of each of our networks before it is built.

    Raises:
        UnknownName: no such table.
    """
    for row in rows_of(tables):
        if started is not None:
            started(rebuild_of(row).network)
        yield compare_row(row)


def compare_row(row: PrintedRow) -> Comparison:
    """One printed row beside our network for it, which is built and counted on the meta device."""
    from aabench.published.counting import count_network

    rebuild = rebuild_of(row)
    count = count_network(rebuild.network, row.resolution, **dict(rebuild.options))
    return Comparison(row, rebuild, count)


def paper_table(*tables: str) -> pd.DataFrame:
    """The published tables beside our figures, one row for each of theirs.

    Args:
        *tables: names such as ``aa-3``, or ``aa`` for all tables of that paper; all by default.

    Returns:
        ``table, network, options, printed_as, dataset, resolution`` (pixels); ``published_gflops,
        flops, gflops_difference`` (of one image forward, 2 a multiply-accumulate; the difference is
        ours less theirs, in GFLOP); ``published_params_m, params, params_m_difference`` (M for
        millions); ``published_accuracy`` (percent) and ``accuracy_measure``; ``verdict``,
        ``explanation``, ``provenance``. Empty where a paper prints nothing.

    Raises:
        UnknownName: no such table.
    """
    return frame_of(compare(tables))


def frame_of(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Comparisons as the table of ``paper_table``."""
    import pandas as pd

    return pd.DataFrame([_record(comparison) for comparison in comparisons])


def _record(comparison: Comparison) -> dict[str, Any]:
    row, gflops, params_m = comparison.row, comparison.gflops, comparison.params_m
    return {
        "table": row.table_name,
        "network": comparison.rebuild.network,
        "options": comparison.rebuild.options_text,
        "printed_as": row.name,
        "dataset": row.dataset,
        "resolution": row.resolution,
        "published_gflops": _number(row.gflops),
        "flops": comparison.count.flops,
        "gflops_difference": _rounded(gflops.difference),
        "published_params_m": _number(row.params_m),
        "params": comparison.count.params,
        "params_m_difference": _rounded(params_m.difference),
        "published_accuracy": _number(row.accuracy),
        "accuracy_measure": row.accuracy_name,
        "verdict": comparison.verdict.value,
        "explanation": " ".join(comparison.remarks),
        "provenance": row.provenance,
    }


def _number(printed: str) -> float:
    return float(printed) if printed else float("nan")


def _rounded(difference: float | None) -> float:
    """Without the digits that subtracting decimals makes up."""
    return float("nan") if difference is None else round(difference, 9)
