"""The counters' table: three counts of each network beside each other, and what they differ by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.report.aligned_text import AlignedTable, TextColumn, fitted, prose, unwrapped
from aabench.report.markdown_text import markdown_row
from aabench.report.quantities import EMPTY
from aabench.report.terminal import print_to

if TYPE_CHECKING:
    import pandas as pd

EXPENDABLE = ("why", "params")
"""Columns that a narrow terminal goes without; the reasons then stand below the table."""

LEGEND = (
    "GMAC of one image forward: torch's FlopCounterMode (half its FLOPs), the sum of the layers' "
    "closed forms, and fvcore without handles of ours (which calls them FLOPs). Differences are in "
    "multiply-accumulates, from torch's count."
)


def write_counter_table(frame: pd.DataFrame, stream: IO[str]) -> None:
    """Write counts to a text stream, as wide as the stream is."""
    print_to(stream, lambda width: counter_table(frame, width=width))


def counter_table(frame: pd.DataFrame, *, width: int) -> RenderableType:
    """Render counts of networks.

    Args:
        frame: as ``aabench.published.counters.counter_frame`` makes it.
        width: terminal cells per line.
    """
    return Group(*_parts(frame, width))


def write_counter_markdown(frame: pd.DataFrame, stream: IO[str]) -> None:
    """Write counts as one Markdown table."""
    columns = _columns(frame)
    stream.write(markdown_row([f"{each.group} {each.head}".strip() for each in columns]))
    stream.write(markdown_row(["--:" if each.right else ":--" for each in columns]))
    for cells in zip(*(each.cells for each in columns), strict=True):
        stream.write(markdown_row(cells))
    stream.write(f"\n{_agreement(frame)}\n\n{LEGEND}\n")


def _parts(frame: pd.DataFrame, width: int) -> Iterator[RenderableType]:
    columns, dropped = fitted(_columns(frame), width, EXPENDABLE)
    yield AlignedTable(columns, width)
    if any(column.name == "why" for column in dropped):
        yield unwrapped(Text())
        yield unwrapped(Text("Why fvcore differs", style="bold"))
        for network, why in zip(_names(frame), frame["why"], strict=True):
            yield from prose(f"{network}: {why}", width, lead="  ")
    yield unwrapped(Text())
    yield from prose(_agreement(frame), width, style="bold")
    yield from prose(LEGEND, width)


def _columns(frame: pd.DataFrame) -> list[TextColumn]:
    return [
        TextColumn("network", "network", _names(frame)),
        TextColumn("resolution", "px", [str(side) for side in frame["resolution"]], right=True),
        TextColumn("params", "params", [f"{count:,}" for count in frame["params"]], right=True),
        TextColumn("torch", "torch", _giga(frame["macs_traced"]), right=True, group="GMAC"),
        TextColumn(
            "closed", "closed forms", _giga(frame["macs_closed_forms"]), right=True, group="GMAC"
        ),
        TextColumn("fvcore", "fvcore", _giga(frame["macs_fvcore"]), right=True, group="GMAC"),
        _differences("closed forms", frame["closed_forms_difference"]),
        _differences("fvcore", frame["fvcore_difference"]),
        TextColumn("why", "why fvcore differs", list(frame["why"])),
    ]


def _names(frame: pd.DataFrame) -> list[str]:
    pairs = zip(frame["network"], frame["options"], strict=True)
    return [f"{network} {options}".rstrip() for network, options in pairs]


def _giga(counts: pd.Series[Any]) -> list[str]:
    return [EMPTY if missing else f"{count / 1e9:.4f}" for count, missing in _cells(counts)]


def _differences(head: str, counts: pd.Series[Any]) -> TextColumn:
    cells = [
        EMPTY if missing else f"{count:+,}" if count else "0" for count, missing in _cells(counts)
    ]
    return TextColumn(f"{head} off", head, cells, right=True, group="MAC off")


def _cells(counts: pd.Series[Any]) -> Iterator[tuple[int, bool]]:
    """Each count, and whether it is missing."""
    return zip(counts.fillna(0).astype(int), counts.isna(), strict=True)


def _agreement(frame: pd.DataFrame) -> str:
    same = int((frame["closed_forms_difference"] == 0).sum())
    traced = int(frame["macs_fvcore"].notna().sum())
    return (
        f"{len(frame)} networks: the closed forms are torch's count in {same}; "
        f"fvcore could trace {traced}."
    )
