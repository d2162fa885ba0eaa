"""``aabench layer``: one case explained, part by part; predicted, and measured if asked."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aabench.cases.axes import LAYER_AXES, STEP_AXES
from aabench.cli.axis_flags import with_axis_flags
from aabench.cli.card_flags import Arch, Gpu, Vram, card_target
from aabench.errors import UsageError

if TYPE_CHECKING:
    from aabench.cost.explain import LayerCost
    from aabench.cost.target import Target
    from aabench.runs.plan import PlannedRow
    from aabench.runs.request import Request


SCHEMA = 1
"""Of ``--format json``."""

WORKSPACES = "library workspaces"
"""Beside the tensors at a peak, the libraries' own memory."""


class LayerFormat(StrEnum):
    """How an explanation is written."""

    table = "table"
    json = "json"


@partial(with_axis_flags, axes=(*LAYER_AXES, *STEP_AXES))
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
        typer.Option(help="auto, cpu, cuda or cuda:N. (default: auto)", show_default=False),
    ] = None,
    gpu: Gpu = None,
    vram: Vram = None,
    arch: Arch = None,
    seconds_per_case: Annotated[
        float | None,
        typer.Option(help="Sampling time with --measure, in seconds.", show_default=False),
    ] = None,
    min_key_depth_per_head: Annotated[
        int | None,
        typer.Option(help="Floor on dk / heads when dk comes from kappa. (default: 0)"),
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
    card = card_target(gpu, vram, arch)
    if card is not None and measure:
        raise UsageError("--measure runs here, --gpu is about another card", instead="give either")
    with tempfile.TemporaryDirectory() as folder:
        request = Request.of(None, axes, settings, out=Path(folder) / "layer")
        request.grid.check_single()
        planned, row, target = _looked_at(request, card, measure)
    show = _print_json if format is LayerFormat.json else _print_table
    show(planned, row, target)


def _looked_at(
    request: Request, card: Target | None, measure: bool
) -> tuple[PlannedRow, dict[str, Any], Target]:
    """The case with its form resolved, what was measured of it if that was asked, and where."""
    from aabench.cli.planning import facts_for
    from aabench.runs.door import measure as run
    from aabench.runs.plan import Plan
    from aabench.runs.predicting import facts_of, target_of
    from aabench.runs.sweeping import Unobserved

    row: dict[str, Any] = {}
    if measure:
        frame = run(request, Unobserved())
        row = {str(name): value for name, value in frame.iloc[0].dropna().items()}
    target = card or target_of(facts_for(request))
    (planned,) = Plan.of(request.grid, facts_of(target)).rows
    return planned, row, target


def _explained(planned: PlannedRow, row: dict[str, Any], target: Target) -> LayerCost | None:
    """The predicted cost; None where the form or the position has no closed form, but was measured.

    Raises:
        UsageError: neither predicted nor measured.
    """
    from aabench.runs.layer_explanation import explain_layer

    try:
        return explain_layer(planned.case, target)
    except UsageError as error:
        if not row:
            raise _of_cards_alone(planned.case.attention, target) or error from error
        print(f"aabench: {error}", file=sys.stderr)
        return None


def _of_cards_alone(attention: str, target: Target) -> UsageError | None:
    """That a form is not for the CPU, where measuring it would be a poor advice; None if it is."""
    from aabench.fitting.forms import device_problem

    if target.device_type != "cpu" or not device_problem(attention, target):
        return None
    return UsageError(
        f"{attention} is made for NVIDIA cards, and nothing is predicted of it on the CPU",
        instead="give --gpu NAME for what it needs on a card, or another --attention; --measure says "
        "whether it runs here at all",
    )


def _print_table(planned: PlannedRow, row: dict[str, Any], target: Target) -> None:
    from aabench.report.layer_table import Composition, layer_table
    from aabench.report.terminal import print_to
    from aabench.runs.case_text import case_text

    cost = _explained(planned, row, target)
    layer = planned.case.layer
    title = (
        f"{layer.in_channels}→{layer.out_channels} channels, {layer.kernel_size}x{layer.kernel_size}, "
        f"{case_text(planned.case)}"
        + (f", predicted for {target.card.name}" if target.card else "")
    )
    parts = cost.parts if cost else ()
    peak = Composition(_alive(cost), _peak_meaning(cost)) if cost else None
    figures = {**(cost.figures if cost else {}), **row}
    print_to(
        sys.stdout,
        lambda width: layer_table(parts, title=title, width=width, peak=peak, row=figures),
    )
    for note in _notes(planned, target):
        print(f"note: {note}")


def _notes(planned: PlannedRow, target: Target) -> list[str]:
    """What was rounded, raised or resolved, and why the form would not run on the card."""
    from aabench.fitting.forms import device_problem

    problem = device_problem(planned.case.attention, target) if target.card else ""
    refused = [f"{planned.case.attention} does not run there: {problem}"] if problem else []
    return [*planned.notes, *refused]


def _alive(cost: LayerCost) -> dict[str, int]:
    """What is alive at the predicted peak, with what a card's libraries take beside the tensors."""
    peak = cost.figures.get("predicted_peak_bytes")
    beside = 0 if peak is None else int(peak) - sum(cost.peak.values())
    return {**cost.peak, WORKSPACES: beside} if beside > 0 else dict(cost.peak)


def _peak_meaning(cost: LayerCost) -> str:
    from aabench.report import legend

    meanings = []
    if cost.maps_at_peak:
        meanings.append(
            f"attention maps (N x N, all heads and images) alive at the peak: {cost.maps_at_peak:.3g}"
        )
    if WORKSPACES in _alive(cost):
        meanings.append(f"{WORKSPACES}: what {legend.WORKSPACES}")
    return "; ".join(meanings)


def _print_json(planned: PlannedRow, row: dict[str, Any], target: Target) -> None:
    cost = _explained(planned, row, target)
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "case": planned.case.to_dict(),
        "notes": _notes(planned, target),
        "parts": [asdict(part) for part in cost.parts] if cost else [],
        "peak_bytes": _alive(cost) if cost else {},
        "predicted": dict(cost.figures) if cost else {},
        "measured": row,
    }
    print(json.dumps(answer, indent=2, default=str))
