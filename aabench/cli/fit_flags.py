"""The flags of ``aabench fit``: the budget, what is looked for, and what becomes of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BUDGET_PANEL = "Budget"

Layer = Annotated[
    bool,
    typer.Option(
        "--layer",
        help="Instead of a network one layer: the largest value of an axis (--maximize, else batch) "
        "for every value of another.",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        help="Bytes there are, with a unit: 16GiB or 16GB. (default: what the card of --gpu leaves "
        "to a process, or what is free here now)",
        rich_help_panel=BUDGET_PANEL,
        show_default=False,
    ),
]
Reserve = Annotated[
    str | None,
    typer.Option(
        "--reserve",
        help="Of the budget, for other tenants of the device, such as 1GiB.",
        rich_help_panel=BUDGET_PANEL,
        show_default=False,
    ),
]
Extra = Annotated[
    str | None,
    typer.Option(
        "--extra",
        help="On top of what is predicted, for what nobody can know, such as 300MiB.",
        rich_help_panel=BUDGET_PANEL,
        show_default=False,
    ),
]
Emulate = Annotated[
    str | None,
    typer.Option(
        "--emulate",
        help="--budget and --verify in one: a smaller card, such as 16GiB, on this machine's device.",
        rich_help_panel=BUDGET_PANEL,
        show_default=False,
    ),
]
Device = Annotated[
    str, typer.Option(help="Without --gpu, this machine's: auto, cpu, cuda or cuda:N.")
]
Maximize = Annotated[
    str | None,
    typer.Option(
        "--maximize",
        help="Find the largest batch, resolution, kappa, upsilon, heads or number of stages that "
        "fits, all else held.",
        show_default=False,
    ),
]
Write = Annotated[
    Path | None,
    typer.Option(
        "--write",
        metavar="PLAN.json",
        help="Write what fits as a plan for aabench.augment(model, plan=...).",
        show_default=False,
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Then run what just fits and one step beyond on this machine's device, and say which "
        "verdicts were right.",
    ),
]
MinKeyDepthPerHead = Annotated[
    int | None,
    typer.Option(
        help="Floor on dk / heads when dk comes from kappa. (default: the network's own)",
        show_default=False,
    ),
]
Rows = Annotated[
    str | None,
    typer.Option(
        "--rows",
        metavar="TABLE",
        help="Of --format csv and md, what there is a row for: layers, stages, forms, remedies or "
        "maxima. (default: layers, with --maximize maxima)",
        show_default=False,
    ),
]
