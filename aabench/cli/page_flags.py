"""The flag ``--html`` of commands that write a page, and what a page is given beside its results."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aabench.report.page.accuracy_chart import PublishedAccuracy

Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write a page with pictures, which needs no network; an earlier file is replaced.",
        show_default=False,
    ),
]


def write_page(path: Path, page: str) -> None:
    """Write a page and say so on standard error.

    Raises:
        UsageError: it cannot be written; an earlier file is kept.
    """
    from aabench.report.files import replace_file

    replace_file(path, page.encode("utf-8"), instead="give another file with --html")
    print(f"wrote {path}", file=sys.stderr)


def published_accuracies(networks: Collection[str]) -> list[PublishedAccuracy]:
    """What the papers report of some networks, as these build them and without other options."""
    from aabench.published.printed import printed_rows
    from aabench.published.rebuilds import rebuild_of
    from aabench.report.page.accuracy_chart import PublishedAccuracy

    rebuilt = [(row, rebuild_of(row)) for row in printed_rows() if row.accuracy] if networks else []
    return [
        PublishedAccuracy(
            network=rebuild.network,
            resolution=row.resolution,
            percent=float(row.accuracy),
            measure=f"{row.accuracy_name} on {row.dataset}",
            source=row.title,
        )
        for row, rebuild in rebuilt
        if rebuild.network in networks and not rebuild.options
    ]
