"""What there is to show of a network and of the plain one: predicted, and measured if that is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aabench.cases.case import Case
    from aabench.cost.target import Target
    from aabench.runs.device_facts import DeviceFacts
    from aabench.runs.network_explanation import NetworkExplanation
    from aabench.runs.request import Request


@dataclass(frozen=True, slots=True)
class NetworkView:
    """What there is to show of a network and of the plain one beside it."""

    ours: NetworkExplanation
    plain: NetworkExplanation | None
    totals: dict[str, Any]
    plain_totals: dict[str, Any]
    notes: tuple[str, ...]
    device: str

    def with_training_hours(self, images: float) -> NetworkView:
        """With the hours that so many images take, of both networks."""
        from aabench.runs.training_time import training_hours

        totals, plain_totals = (
            {**each, "training_hours": training_hours(images, each["items_per_s"])}
            if each.get("items_per_s")
            else each
            for each in (self.totals, self.plain_totals)
        )
        return replace(self, totals=totals, plain_totals=plain_totals)


def looked_at(
    request: Request, card: Target | None, depth: int | None, measure: bool
) -> NetworkView:
    """Predict, and measure if that is asked."""
    from aabench.cli.planning import facts_for
    from aabench.runs.hello import facts_here
    from aabench.runs.network_explanation import explain_network
    from aabench.runs.plan import Plan
    from aabench.runs.predicting import facts_of, target_of

    if card is not None:
        facts = facts_of(card)
    else:
        # Measuring must not share the card with this process; predicting needs torch here anyway.
        facts = facts_for(request) if measure else facts_here(request.settings.device)
    (planned,) = Plan.of(request.grid, facts).rows
    target = card or target_of(facts)
    ours = explain_network(planned.case, target, depth)
    plain = explain_network(planned.case.plain(), target, depth) if planned.plain_key else None
    totals, plain_totals = dict(ours.figures), dict(plain.figures if plain else {})
    if measure:
        ours, row = _measured(request, ours, facts)
        totals |= row
        plain_totals |= _of_plain(row, planned.case.batch) if plain else {}
    notes = (*planned.notes, *_floor_note(planned.case))
    return NetworkView(ours, plain, totals, plain_totals, notes, facts.name)


def _floor_note(case: Case) -> tuple[str, ...]:
    """That kappa is not all that decides about dk, where the user gave it and no floor."""
    from aabench.cases.depths import PUBLISHED_KEY_DEPTH_PER_HEAD

    network = case.network
    if network is None or network.kappa is None or network.min_key_depth_per_head is not None:
        return ()
    return (
        f"where kappa gives less, dk is {PUBLISHED_KEY_DEPTH_PER_HEAD} per head, as in the papers; "
        "--min-key-depth-per-head 0 takes kappa as it is",
    )


def _measured(
    request: Request, explanation: NetworkExplanation, facts: DeviceFacts
) -> tuple[NetworkExplanation, dict[str, Any]]:
    """The row of results, and the forward time of each layer."""
    import torch

    from aabench.cli.watching import watched_sweep
    from aabench.runs.network_explanation import with_forward_times

    row = {str(k): v for k, v in watched_sweep(request).iloc[0].dropna().items()}
    if row["status"] == "ok":
        explanation = with_forward_times(explanation, torch.device(facts.device))
    return explanation, row


def _of_plain(row: dict[str, Any], batch: int) -> dict[str, Any]:
    """What the network's row says of the plain network."""
    figures = {
        "latency_median_s": row.get("conv_latency_median_s"),
        "peak_allocated_bytes": row.get("conv_peak_allocated_bytes"),
    }
    seconds = figures["latency_median_s"]
    figures["items_per_s"] = batch / seconds if seconds else None
    return {name: value for name, value in figures.items() if value is not None}
