"""The explanation of a network in each format: as tables, JSON, CSV, Markdown and as a page."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aabench.cli.output import OutputFormat, prepare_stdout

if TYPE_CHECKING:
    import pandas as pd

    from aabench.cli.network_view import NetworkView
    from aabench.report.network_table import NetworkReport

SCHEMA = 1
"""Of ``--format json``."""


def show_network(view: NetworkView, format: OutputFormat) -> None:
    """Print the explanation of a network."""
    prepare_stdout(format)
    _SHOW[format](view)


def _print_table(view: NetworkView) -> None:
    from aabench.report.network_table import network_table
    from aabench.report.terminal import print_to

    report = _report(view)
    print_to(sys.stdout, lambda width: network_table(report, width=width))
    for note in (*view.notes, *_failure(view)):
        print(f"note: {note}")


def write_network_page(view: NetworkView, path: Path) -> None:
    """Write a network as a page.

    Raises:
        UsageError: it cannot be written; an earlier file is kept.
    """
    from aabench.cli.page_flags import published_accuracies, write_page
    from aabench.report.page.network_page import page_of_network

    totals = _totals_frame(view)
    page = page_of_network(
        _report(view),
        totals,
        accuracies=published_accuracies(set(totals["network"])),
        notes=(*view.notes, *_failure(view)),
    )
    write_page(path, page)


def _totals_frame(view: NetworkView) -> pd.DataFrame:
    """The network and the plain one as two rows of results."""
    import pandas as pd

    rows = []
    for each, totals in ((view.ours, view.totals), (view.plain, view.plain_totals)):
        if each is not None and each.case.network is not None:
            network = each.case.network
            case = {"network": network.name, "height": network.height, "width": network.width}
            rows.append({"status": "predicted", **totals, **case, "batch": each.case.batch})
    return pd.DataFrame(rows).drop(columns=["attention", "device"], errors="ignore")


def _report(view: NetworkView) -> NetworkReport:
    from aabench.report.layer_table import Composition
    from aabench.report.network_table import NetworkReport
    from aabench.runs.case_text import case_text

    ours, plain = view.ours, view.plain
    return NetworkReport(
        title=f"{case_text(ours.case)}, predicted for {view.device}",
        parts=ours.parts,
        peak=Composition(ours.peak, f"the peak is in the step's {ours.phase} pass"),
        totals=view.totals,
        plain_name=plain.case.network.name if plain and plain.case.network else "",
        plain_totals=view.plain_totals,
        basis=ours.basis,
        left_out=ours.left_out,
    )


def _failure(view: NetworkView) -> tuple[str, ...]:
    status = view.totals.get("status", "ok")
    return () if status == "ok" else (f"not measured: {status}: {view.totals.get('reason')}",)


def _print_json(view: NetworkView) -> None:
    network = view.ours.case.network
    assert network is not None
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "network": network.name,
        "case": view.ours.case.to_dict(),
        "device": view.device,
        "notes": list(view.notes),
        "totals": view.totals,
        "peak_bytes": dict(view.ours.peak),
        "layers": [asdict(part) for part in view.ours.parts],
    }
    if view.plain is not None and view.plain.case.network is not None:
        answer["plain"] = {
            "network": view.plain.case.network.name,
            "totals": view.plain_totals,
            "layers": [asdict(part) for part in view.plain.parts],
        }
    print(json.dumps(answer, indent=2, default=_plain_number))


def _plain_number(value: Any) -> Any:
    """A numpy or pandas number as Python's own."""
    return value.item() if hasattr(value, "item") else str(value)


def _rows(view: NetworkView) -> pd.DataFrame:
    import pandas as pd

    rows = pd.DataFrame([asdict(part) for part in view.ours.parts]).drop(columns="at_peak")
    rows["output_shape"] = ["x".join(map(str, shape)) for shape in rows["output_shape"]]
    return rows


def _print_csv(view: NetworkView) -> None:
    from aabench.report.records import write_csv

    write_csv(_rows(view), sys.stdout)


def _print_markdown(view: NetworkView) -> None:
    from aabench.report.records import write_markdown

    write_markdown(_rows(view), sys.stdout)


_SHOW: Mapping[OutputFormat, Callable[[NetworkView], None]] = {
    OutputFormat.table: _print_table,
    OutputFormat.json: _print_json,
    OutputFormat.csv: _print_csv,
    OutputFormat.md: _print_markdown,
}
