"""Planning: what a sweep would do, on which device, and for how long."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aabench.cli.output import OutputFormat, show_results
from aabench.report.quantities import duration_text
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.estimate import estimated_seconds
from aabench.runs.executor_choice import executor_for
from aabench.runs.place import Place
from aabench.runs.places_choice import check_one_choice
from aabench.runs.plan import Plan
from aabench.runs.request import Request
from aabench.runs.table import planned_table


def show_plan(request: Request, format: OutputFormat) -> None:
    """Print every case of a request, then how many there are and how long they should take."""
    places = places_for(request)
    facts = places[0].facts
    check_one_choice(request.grid, places)
    plan = Plan.of(request.grid, facts)
    frame = planned_table(plan)
    frame.attrs = {"name": f"{request.name}, not run", "device": facts.name}
    show_results(frame, format)
    plain = sum(case.is_plain for case in plan.cases.values())
    at_once = min(len(places), len(set(plan.groups.values())))
    seconds = estimated_seconds(plan, request.settings, facts) / max(at_once, 1)
    where = facts.name if len(places) == 1 else f"{len(places)} devices"
    print(
        f"{len(plan.rows):,} rows, of which {len(plan.invalid):,} invalid; {len(plan.cases):,} different "
        f"cases to measure, {plain:,} of them plain, to compare with; "
        f"about {duration_text(seconds)} on {where}; results would go to {request.folder}",
        file=sys.stderr,
    )


def facts_for(request: Request) -> DeviceFacts:
    """The device that a request would run on, the first of several."""
    return places_for(request)[0].facts


def places_for(request: Request) -> Sequence[Place]:
    """The devices that a request would run on, from workers, which alone know what torch sees."""
    executor = executor_for(request)
    try:
        return executor.places()
    finally:
        executor.close()
