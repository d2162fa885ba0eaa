"""Two runs side by side: verdicts first, what differed between them, then the cases as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.report.aligned_text import AlignedTable, TextColumn, fitted, prose
from aabench.report.axis_text import axis_column, case_phrase, swept_axes
from aabench.report.figure_columns import figures
from aabench.report.markdown_text import escaped, markdown_row
from aabench.report.quantities import EMPTY, bytes_text, is_missing, ratio_text, seconds_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VERDICT_STYLES = {"slower": "red", "faster": "green", "same": "", "cannot tell": "yellow"}
"""The verdicts in the order in which they are counted, and the colours they have."""

BOTH = "both"

MOST_ROWS = 100
"""Cases that a terminal shows; of more, those that changed most."""

MOST_NAMED = 5
"""Cases of one run alone that are named."""

EXPENDABLE = ("why", "step peak", "peak A", "peak B", "95 % interval", "time A", "time B")
"""Columns that a narrow terminal goes without, the first ones first."""


FIGURES = (
    *("time A", "time B", "time", "95 % interval", "verdict"),
    *("peak A", "peak B", "peak", "step peak", "why"),
)
"""The names of the columns that are no axes."""


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What ``aabench compare`` found.

    Attributes:
        a: the first run in words: its folder, its device, whether it is complete.
        b: the second run, which is judged.
        threshold: the relative difference that matters.
        differences: what differed between the runs' environments, one line each.
        failures: what ``--fail-if`` found, one line each.
        frame: one row per case, as ``aabench.runs.comparison`` makes it.
    """

    a: str
    b: str
    threshold: float
    differences: Sequence[str]
    failures: Sequence[str]
    frame: pd.DataFrame


def comparison_table(report: ComparisonReport, *, width: int) -> RenderableType:
    """Render a comparison for so many terminal cells."""
    return Group(*_pieces(report, width))


def write_comparison_markdown(report: ComparisonReport, stream: IO[str]) -> None:
    """Write the same with every case, as Markdown."""
    for line in (headline(report), *_circumstances(report)):
        stream.write(f"{escaped(line)}\n\n")
    both = _shared(report.frame)
    columns = _columns(both)
    stream.write(markdown_row([column.head for column in columns]))
    stream.write(markdown_row(["--:" if column.right else ":--" for column in columns]))
    for cells in zip(*(column.cells for column in columns), strict=True):
        stream.write(markdown_row(cells))
    stream.write(f"\n{escaped(legend(report))}\n")


def headline(report: ComparisonReport) -> str:
    """How many cases have each verdict, in one sentence."""
    both = _shared(report.frame)
    counts = both["verdict"].value_counts()
    words = [f"{counts[verdict]} {verdict}" for verdict in VERDICT_STYLES if verdict in counts]
    unmeasured = int(both["verdict"].isna().sum())
    if unmeasured:
        words.append(f"{unmeasured} not measured on both sides")
    return f"B beside A, {_cases(len(both))} in both: {', '.join(words)}"


def legend(report: ComparisonReport) -> str:
    """How to read verdicts and ratios."""
    share = f"{100 * report.threshold:g} %"
    return (
        "Ratios are B / A: above 1x B takes more. faster, slower: the medians differ by more than "
        f"{share}, a rank test gives p < 0.002, and the medians' 95 % confidence intervals are apart; "
        f"same: the ratio's whole 95 % interval lies within {share}; all else cannot be told, and wants "
        "more --seconds-per-case or a quieter machine."
    )


def _pieces(report: ComparisonReport, width: int) -> Iterator[RenderableType]:
    yield from prose(headline(report), width, style="bold")
    for line in _circumstances(report):
        yield from prose(line, width)
    yield Text()
    both = _shared(report.frame)
    shown = _most_changed(both)
    columns, dropped = fitted(_columns(shown), width, EXPENDABLE)
    axes = sum(column.name not in FIGURES for column in columns)
    told = zip(_texts(shown["verdict"]), _texts(shown["reason"]), strict=True)
    remarks = {row: reason for row, (verdict, reason) in enumerate(told) if not verdict}
    yield AlignedTable(columns, width, remarks=remarks, remark_from=axes)
    if len(shown) < len(both):
        left = _cases(len(both) - len(shown))
        yield from prose(f"{left} that changed less left out; --format csv has all", width)
    yield Text()
    yield from prose(legend(report), width, style="dim")
    if dropped:
        names = ", ".join(column.head for column in dropped)
        yield from prose(f"left out for want of room: {names}", width, style="dim")


def _circumstances(report: ComparisonReport) -> Iterator[str]:
    """The runs, what differed between them, what failed, and the cases that only one has."""
    yield f"A: {report.a}"
    yield f"B: {report.b}"
    if report.differences:
        yield f"Not the same: {'; '.join(report.differences)}"
    yield from report.failures
    frame = report.frame
    for name in ("A", "B"):
        rows = frame[frame["found_in"] == name].reset_index(drop=True)
        if len(rows):
            axes = swept_axes(frame)
            phrases = [case_phrase(rows, row, axes) for row in range(min(len(rows), MOST_NAMED))]
            more = f"; and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
            yield f"Only in {name}: {_cases(len(rows))}: {'; '.join(phrases)}{more}"


def _shared(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["found_in"] == BOTH].reset_index(drop=True)


def _most_changed(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that a terminal shows, in their order: all, or those furthest from 1x."""
    import numpy as np

    if len(frame) <= MOST_ROWS:
        return frame
    distance = np.nan_to_num(
        np.maximum(
            np.abs(np.log(figures(frame, "latency_ratio"))),
            np.abs(np.log(figures(frame, "peak_ratio"))),
        ),
        nan=np.inf,
    )
    places = np.sort(np.argsort(-distance, kind="stable")[:MOST_ROWS])
    return frame.iloc[places].reset_index(drop=True)


def _columns(frame: pd.DataFrame) -> list[TextColumn]:
    """The axes that differ between cases, then times and peaks of both sides with their ratios."""
    verdicts = _texts(frame["verdict"])
    styles = [VERDICT_STYLES.get(verdict, "") for verdict in verdicts]
    return [
        *(axis_column(frame, axis) for axis in swept_axes(frame)),
        _figure("time A", [seconds_text(s) for s in figures(frame, "latency_median_a_s")]),
        _figure("time B", [seconds_text(s) for s in figures(frame, "latency_median_b_s")]),
        _figure("time", [ratio_text(each) for each in figures(frame, "latency_ratio")]),
        _figure("95 % interval", _intervals(frame)),
        TextColumn("verdict", "verdict", verdicts, styles=styles),
        _figure("peak A", [bytes_text(each) for each in figures(frame, "peak_allocated_a_bytes")]),
        _figure("peak B", [bytes_text(each) for each in figures(frame, "peak_allocated_b_bytes")]),
        _figure("peak", _exact_ratios(figures(frame, "peak_ratio"))),
        _figure("step peak", _exact_ratios(figures(frame, "step_peak_ratio"))),
        TextColumn("why", "why", _texts(frame["reason"])),
    ]


def _figure(name: str, cells: Sequence[str]) -> TextColumn:
    return TextColumn(name, name, cells, right=True)


def _intervals(frame: pd.DataFrame) -> list[str]:
    ends = (figures(frame, f"latency_ratio_{end}") for end in ("low", "high"))
    return [
        EMPTY if is_missing(low) else f"{ratio_text(low)}–{ratio_text(high)}"
        for low, high in zip(*ends, strict=True)
    ]


def _exact_ratios(ratios: Floats) -> list[str]:
    """Ratios of bytes: what is the same to the byte says so, and does not look like a rounding."""
    return ["same" if ratio == 1 else ratio_text(ratio) for ratio in ratios.tolist()]


def _texts(column: pd.Series[Any]) -> list[str]:
    """A column of text, with nothing where there is none."""
    return [text if isinstance(text, str) else "" for text in column]


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count:,} cases"
