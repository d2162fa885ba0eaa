"""The Python door to prediction: one call, one row per case, nothing run; layers and networks alike."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aabench.cases.card import Card, chosen_card
from aabench.cases.case import AUGMENTED, Case
from aabench.cases.grid import Grid
from aabench.cost.target import Target
from aabench.errors import UnsupportedCase, UsageError
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.in_order import batched, in_order
from aabench.runs.plan import Plan
from aabench.runs.prediction import closed_form_figures, predicted_row
from aabench.runs.table import table_of

if TYPE_CHECKING:
    import pandas as pd

CASES_AT_A_TIME = 8
"""Neighbouring cases are often of one network, which a process then builds once."""


def predict(
    *,
    min_key_depth_per_head: int | None = None,
    device: str = "cpu",
    gpu: str | None = None,
    vram: str | None = None,
    arch: str | None = None,
    threads: int | None = None,
    **axes: Any,
) -> pd.DataFrame:
    """What every case of a grid costs, predicted without running any.

    ``aabench.predict(in_channels=256, heads=[2, 8], resolution="14:56:14", gpu="t4-16gb")`` predicts
    eight layers on a card that need not be here; ``aabench.predict(network="aa-resnet50", batch=32,
    mode="train")`` a network.

    Args:
        min_key_depth_per_head: the floor on dk / heads where dk comes from kappa.
        device: the type of device that is predicted for: ``cpu`` or ``cuda``.
        gpu: a card of ``aabench list gpus``, or the TOML file of one.
        vram: with ``arch``, an unlisted card's memory, such as ``12GiB``.
        arch: its architecture, such as ``sm89``.
        threads: CPU threads; by default as many as torch would use here.
        **axes: values by axis, as for ``aabench.sweep``: one value or a list; lists are multiplied.

    Returns:
        One row per case in grid order, impossible ones included (``status`` is ``invalid`` and
        ``reason`` says why), with the columns of ``aabench list columns`` that can be known. Bytes
        and counts are whole numbers, missing where unknown; so is all memory of compiled layers.

    Raises:
        UsageError: a bad axis or value, an unknown card, or sizes that 64 bits do not hold.
    """
    grid = Grid.of(axes, min_key_depth_per_head=min_key_depth_per_head)
    card = chosen_card(gpu, vram, arch)
    if card is not None:
        return predicted_table(grid, Target.of_card(card))
    return predicted_table(grid, Target(device.partition(":")[0], threads=threads))


def predicted_table(
    grid: Grid,
    target: Target,
    *,
    jobs: int = 1,
    observer: TraceObserver | None = None,
) -> pd.DataFrame:
    """The table of ``predict`` for a grid and a target that are already there.

    Args:
        grid: of layers or networks.
        target: the device.
        jobs: processes that trace networks; closed forms take no time.
        observer: is told how many cases are traced.
    """
    if has_closed_forms(grid):
        from aabench.cost.prediction import predict_grid

        return predict_grid(grid, target)
    plan = Plan.of(grid, facts_of(target))
    figures = closed_form_figures(plan.cases, target)
    untold = {key: case for key, case in plan.cases.items() if key not in figures}
    traced = _traced(untold, target, jobs, observer or TraceObserver())
    rows = {
        key: predicted_row(case, {**figures.get(key, {}), **traced.get(key, {})}, target)
        for key, case in plan.cases.items()
    }
    return table_of(plan, rows)


def has_closed_forms(grid: Grid) -> bool:
    """Whether all of a grid is predicted by closed forms, in columns and without a trace."""
    return not grid.of_networks and grid.axes["layer"] == (AUGMENTED,)


class TraceObserver:
    """Is told how a prediction by traces goes on; this one does not listen."""

    def planned(self, cases: int) -> None:
        """So many cases are to be traced."""

    def advanced(self, cases: int) -> None:
        """So many more are."""


def _traced(
    cases: Mapping[str, Case], target: Target, jobs: int, observer: TraceObserver
) -> dict[str, dict[str, Any]]:
    """The traced columns of cases by key, several cases at once."""
    observer.planned(len(cases))
    found: dict[str, dict[str, Any]] = {}
    keys = list(cases)
    size = max(1, min(CASES_AT_A_TIME, len(keys) // max(jobs, 1)))
    function = partial(_traced_rows, target=target)
    for rows in in_order(function, batched(cases.values(), size), min(jobs, len(keys) or 1)):
        found.update(zip(keys[len(found) :], rows, strict=False))
        observer.advanced(len(rows))
    return found


def _traced_rows(cases: list[Case], target: Target) -> list[dict[str, Any]]:
    return [traced_row(case, target) for case in cases]


def traced_row(case: Case, target: Target) -> dict[str, Any]:
    """The columns of one traced case; why there are none where it cannot be traced."""
    from aabench.runs.traced_prediction import case_model, predict_traced

    try:
        case_model(case)
    except UsageError as error:
        return {"status": "invalid", "reason": str(error)}
    try:
        return {**predict_traced(case, target), "reason": None}
    except UnsupportedCase as error:
        return {"status": "unsupported", "reason": str(error)}
    except UsageError as error:
        return {"reason": str(error)}


def facts_of(target: Target) -> DeviceFacts:
    """What a plan has to know of a target."""
    name = target.card.name if target.card else target.name or target.device_type
    return DeviceFacts(target.device_type, name, target.capability)


def target_of(facts: DeviceFacts) -> Target:
    """A device that is here, as a target."""
    card = Card.of_device(facts.name) if facts.type == "cuda" else None
    return Target(facts.type, facts.name, facts.capability, card)
