"""The digest of a prediction too large to hold: its first rows, its outcomes and what each form takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.report.aligned_text import AlignedTable, TextColumn, prose, unwrapped, wrapped
from aabench.report.case_table import case_table
from aabench.report.quantities import bytes_text, seconds_text
from aabench.report.results import Results
from aabench.report.run_lines import run_line
from aabench.report.statuses import shown_status, status_counts, status_style

if TYPE_CHECKING:
    import pandas as pd

FIRST_ROWS = 20

MOST_REASONS = 12
"""Reasons that are printed, the most frequent first."""

PEAK, TIME = "predicted_peak_bytes", "predicted_latency_s"


@dataclass
class Extent:
    """How many values there are, and the smallest and the largest of them."""

    count: int = 0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, other: Extent) -> None:
        """Take in the values of another extent."""
        self.count += other.count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)


@dataclass
class PredictionDigest:
    """What is kept of rows that are not.

    Attributes:
        rows: how many there were.
        first: the first of them.
        statuses: rows by status.
        reasons: rows by reason and status of what has no figures.
        extents: by attention form and column, over the rows that were predicted.
    """

    rows: int = 0
    first: pd.DataFrame | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    extents: dict[tuple[str, str], Extent] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: pd.DataFrame) -> PredictionDigest:
        """The digest of some rows."""
        status = shown_status(frame)
        digest = cls(len(frame), frame[:FIRST_ROWS].copy(), Counter(status_counts(status)))
        without = frame["reason"].notna()
        pairs = frame.loc[without, "reason"].astype(str), status[without]
        digest.reasons.update(zip(*pairs, strict=True))
        for form, rows in frame[frame["status"] == "predicted"].groupby("attention", observed=True):
            for column in (PEAK, TIME):
                if column in rows:
                    values = rows[column].dropna()
                    extent = (
                        Extent(len(values), values.min(), values.max()) if len(values) else Extent()
                    )
                    digest.extents[str(form), column] = extent
        return digest

    def add(self, later: PredictionDigest) -> None:
        """Take in the digest of the rows that follow."""
        self.rows += later.rows
        self.statuses.update(later.statuses)
        self.reasons.update(later.reasons)
        for key, extent in later.extents.items():
            self.extents.setdefault(key, Extent()).add(extent)
        if self.first is None:
            self.first = later.first


def digest_table(
    digest: PredictionDigest, attrs: Mapping[str, Any], *, width: int
) -> RenderableType:
    """Render a digest.

    Args:
        digest: of all rows.
        attrs: ``name``, ``device`` and perhaps ``folder`` and ``table``, the name of its file.
        width: terminal cells per line.
    """
    return Group(*_parts(digest, attrs, width))


def _parts(
    digest: PredictionDigest, attrs: Mapping[str, Any], width: int
) -> Iterator[RenderableType]:
    yield from prose(run_line(attrs), width, style="bold")
    counts = [(name, f"{count:,} {name}") for name, count in digest.statuses.items()]
    outcomes = [Text(text, status_style(name)) for name, text in counts]
    outcomes[:1] = [Text(f"{digest.rows:,} rows: ").append_text(text) for text in outcomes[:1]]
    yield from wrapped(outcomes, width)
    if digest.first is not None:
        yield Text()
        yield case_table(Results.of(digest.first, width))[0]
        everything = "--format csv"
        if attrs.get("folder"):
            everything = f"{attrs['folder']}/{attrs.get('table', 'results.csv')}"
        hint = f"{digest.rows - len(digest.first):,} more rows; all of them: {everything}"
        yield from prose(hint, width, style="dim")
    yield from _reasons(digest, width)
    forms = _form_columns(digest)
    if forms[0].cells:
        yield Text()
        yield Text("At a glance, predicted", style="bold")
        yield AlignedTable(forms, width)
    if attrs.get("folder"):
        yield Text()
        yield unwrapped(Text(f"results in {attrs['folder']}"))


def _reasons(digest: PredictionDigest, width: int) -> Iterator[Text]:
    if not digest.reasons:
        return
    yield Text()
    yield Text("Without figures", style="bold")
    found = digest.reasons.most_common(MOST_REASONS)
    leads = [f"{rows:,} {status}: " for (_, status), rows in found]
    widest = max(map(len, leads))
    for lead, ((reason, status), _) in zip(leads, found, strict=True):
        yield from prose(
            reason, width, lead=lead.rjust(widest + 2), lead_style=status_style(status)
        )
    more = len(digest.reasons) - len(found)
    if more > 0:
        yield from prose(f"and {more:,} other reasons", width, lead="  ", style="dim")


def _form_columns(digest: PredictionDigest) -> list[TextColumn]:
    """Each form with its number of rows, and the ranges of its peaks and times."""
    forms = list(dict.fromkeys(form for form, _ in digest.extents))
    peaks = [digest.extents.get((form, PEAK), Extent()) for form in forms]
    times = [digest.extents.get((form, TIME), Extent()) for form in forms]
    columns = [
        TextColumn("attention", "attention", forms),
        TextColumn("rows", "rows", [f"{extent.count:,}" for extent in peaks], right=True),
        TextColumn("low peak", "lowest", [_bytes(extent.low) for extent in peaks], True, "peak"),
        TextColumn("high peak", "highest", [_bytes(extent.high) for extent in peaks], True, "peak"),
    ]
    if any(extent.count for extent in times):
        columns += [
            TextColumn("low time", "lowest", [_seconds(each.low) for each in times], True, "time"),
            TextColumn(
                "high time", "highest", [_seconds(each.high) for each in times], True, "time"
            ),
        ]
    return columns


def _bytes(count: float) -> str:
    return bytes_text(None if count in (float("inf"), float("-inf")) else count)


def _seconds(seconds: float) -> str:
    return seconds_text(None if seconds in (float("inf"), float("-inf")) else seconds)
