"""Planning: what a sweep would do, on which device, and for how long."""

from __future__ import annotations

import sys

from aabench.cli.output import OutputFormat, show_results
from aabench.report.quantities import duration_text
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.estimate import estimated_seconds
from aabench.runs.executor import OneWorker
from aabench.runs.plan import Plan
from aabench.runs.request import Request
from aabench.runs.table import planned_table


def show_plan(request: Request, format: OutputFormat) -> None:
    """Print every case of a request, then how many there are and how long they should take."""
    facts = facts_for(request)
    plan = Plan.of(request.grid, facts)
    frame = planned_table(plan)
    frame.attrs = {"name": f"{request.name}, not run", "device": facts.name}
    show_results(frame, format)
    plain = sum(case.is_plain for case in plan.cases.values())
    seconds = estimated_seconds(plan, request.settings, facts)
    print(
        f"{len(plan.rows):,} rows, of which {len(plan.invalid):,} invalid; {len(plan.cases):,} different "
        f"cases to measure, {plain:,} of them plain, to compare with; "
        f"about {duration_text(seconds)} on {facts.name}; results would go to {request.folder}",
        file=sys.stderr,
    )


def facts_for(request: Request) -> DeviceFacts:
    """The device a request would run on, from a worker, which alone knows what torch sees."""
    executor = OneWorker(request.settings, request.grid.outside_code)
    try:
        return DeviceFacts.from_dict(executor.greeting()["device"])
    finally:
        executor.close()
