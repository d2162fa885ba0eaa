"""``aabench layer``: one case explained, part by part; predicted, and measured if asked."""

from __future__ import annotations

import json
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aabench.cli.axis_flags import with_axis_flags

if TYPE_CHECKING:
    from aabench.runs.plan import PlannedRow
    from aabench.runs.request import Request


class LayerFormat(StrEnum):
    """How an explanation is written."""

    table = "table"
    json = "json"


@with_axis_flags
def layer_command(
    *,
    axes: dict[str, str | None],
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Measure the case as well, and the convolution it replaces."
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda or cuda:N. [default: auto]", show_default=False),
    ] = None,
    seconds_per_case: Annotated[
        float | None,
        typer.Option(help="Sampling time with --measure, in seconds.", show_default=False),
    ] = None,
    min_key_depth_per_head: Annotated[
        int | None,
        typer.Option(help="Floor on dk / heads when dk comes from kappa. [default: 0]"),
    ] = None,
    format: Annotated[LayerFormat, typer.Option(help="What goes to standard output.")] = (
        LayerFormat.table
    ),
) -> None:
    """Explain one layer: what each part costs, what fills the memory at the peak, and which form runs.

    Example: aabench layer --in-channels 256 --heads 8 --resolution 28 --batch 32 --mode train
    """
    from aabench.runs.request import Request

    settings = {
        "device": device,
        "seconds_per_case": seconds_per_case,
        "min_key_depth_per_head": min_key_depth_per_head,
    }
    with tempfile.TemporaryDirectory() as folder:
        request = Request.of(None, axes, settings, out=Path(folder) / "layer")
        request.grid.check_single()
        planned, row = _looked_at(request, measure)
    if format is LayerFormat.json:
        _print_json(planned, row)
    else:
        _print_table(planned, row)
