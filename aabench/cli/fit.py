"""``aabench fit``: which layers of a network fit a memory budget, and what to change so that more do."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aabench.cases.axes import LAYER_AXES, NETWORK_AXES, STEP_AXES
from aabench.cases.byte_size import parse_bytes
from aabench.cli.axis_flags import with_axis_flags
from aabench.cli.card_flags import Arch, Gpu, Vram
from aabench.cli.output import OutputFormat, prepare_stdout
from aabench.cli.page_flags import Html
from aabench.cli.waiting import waiting
from aabench.errors import EXIT_DONE, EXIT_NO, EXIT_UNSURE, UnknownName, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from aabench.fitting.fit import Fit
    from aabench.report.fit_table import FitReport

SCHEMA = 1
"""Of ``--format json``."""

AXES = [
    axis
    for axis in (*NETWORK_AXES, *LAYER_AXES, *STEP_AXES)
    if axis.name not in ("network", "layer", "compile")
]

EXIT_CODES = {"fits": EXIT_DONE, "does not fit": EXIT_NO, "too close to tell": EXIT_UNSURE}

TABLES = {
    "layers": "frame",
    "stages": "stages_frame",
    "forms": "forms_frame",
    "remedies": "remedies_frame",
    "maxima": "maxima_frame",
}
"""What ``--rows`` takes, and the attribute of a fit that it stands for."""

BUDGET_PANEL = "Budget"


@partial(with_axis_flags, axes=AXES)
def fit_command(
    *,
    network: Annotated[
        str | None,
        typer.Argument(
            help="A name of aabench list networks, timm:NAME, torchvision:NAME, or "
            "package.module:function of your own.",
            show_default=False,
        ),
    ] = None,
    axes: dict[str, str | None],
    layer: Annotated[
        bool,
        typer.Option(
            "--layer",
            help="Instead of a network one layer: the largest value of an axis (--maximize, else "
            "batch) for every value of another.",
        ),
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Bytes there are, with a unit: 16GiB or 16GB. (default: what the card of --gpu leaves "
            "to a process, or what is free here now)",
            rich_help_panel=BUDGET_PANEL,
            show_default=False,
        ),
    ] = None,
    reserve: Annotated[
        str | None,
        typer.Option(
            help="Of the budget, for other tenants of the device, such as 1GiB.",
            rich_help_panel=BUDGET_PANEL,
            show_default=False,
        ),
    ] = None,
    extra: Annotated[
        str | None,
        typer.Option(
            help="On top of what is predicted, for what nobody can know, such as 300MiB.",
            rich_help_panel=BUDGET_PANEL,
            show_default=False,
        ),
    ] = None,
    gpu: Gpu = None,
    vram: Vram = None,
    arch: Arch = None,
    device: Annotated[
        str,
        typer.Option(help="Without --gpu, this machine's: auto, cpu, cuda or cuda:N."),
    ] = "auto",
    maximize: Annotated[
        str | None,
        typer.Option(
            help="Find the largest batch, resolution, kappa, upsilon, heads or number of stages that "
            "fits, all else held.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="PLAN.json",
            help="Write what fits as a plan for aabench.augment(model, plan=...).",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Then run what just fits and one step beyond on this machine's device, and say which "
            "verdicts were right.",
        ),
    ] = False,
    emulate: Annotated[
        str | None,
        typer.Option(
            help="--budget and --verify in one: a smaller card, such as 16GiB, on this machine's device.",
            rich_help_panel=BUDGET_PANEL,
            show_default=False,
        ),
    ] = None,
    min_key_depth_per_head: Annotated[
        int | None,
        typer.Option(
            help="Floor on dk / heads when dk comes from kappa. (default: the network's own)",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Of --format csv and md, what there is a row for: layers, stages, forms, remedies or "
            "maxima. (default: layers, with --maximize maxima)",
            show_default=False,
        ),
    ] = None,
    html: Html = None,
    format: Annotated[OutputFormat, typer.Option(help="What goes to standard output.")] = (
        OutputFormat.table
    ),
) -> None:
    """Which layers of a network fit a memory budget, and the least change that makes all of them fit.

    Nothing is run. Exit code 0: it fits (without --attention: by some form), 3: it does not, 4: too
    close to tell.

    Example: aabench fit aa-wrn28-10 --batch 128 --mode train --gpu t4-16gb
    """
    if (network is None) != layer:
        raise UsageError(
            "fit wants a network, or --layer and the axes of one",
            got="both" if layer else "neither",
            instead="such as aabench fit aa-wrn28-10 --batch 128 --mode train --gpu t4-16gb",
        )
    if network == "":
        raise UsageError("the network's name is empty", instead="see aabench list networks")
    if emulate is not None:
        parse_bytes(emulate, "--emulate")
        if budget is not None:
            raise UsageError("--emulate is a budget itself", instead="give --budget or --emulate")
    if write is not None:
        _check_target(write)
    where = {"budget": emulate or budget, "reserve": reserve, "extra": extra}
    where |= {"gpu": gpu, "vram": vram, "arch": arch, "device": device}
    given = {name: value for name, value in axes.items() if value is not None}
    if layer and html is not None:
        raise UsageError(
            "--html is a page about a network", instead="give a network, or leave it out"
        )
    _check_rows(rows, layer, format)
    prepare_stdout(format)
    if layer:
        raise typer.Exit(_fit_layer(given, maximize, min_key_depth_per_head, where, format))
    assert network is not None
    raise typer.Exit(
        _fit_network(
            network,
            {**given, **where, "maximize": maximize, "floor": min_key_depth_per_head},
            write,
            html,
            format,
            rows=rows,
            verify=verify or emulate is not None,
        )
    )


def _fit_network(
    network: str,
    given: dict[str, Any],
    write: Path | None,
    html: Path | None,
    format: OutputFormat,
    *,
    rows: str | None,
    verify: bool,
) -> int:
    """Judge a network, show the answer, write the plan, try it; returns the exit code.

    The exit code is the prediction's; a verdict that a trial refutes makes it that of an answer no.
    """
    from aabench.fitting.door import fit

    floor = given.pop("floor")
    _check_verifiable(given, verify, format)
    with waiting(f"judging {network}"):
        found = fit(network, min_key_depth_per_head=floor, **given)
    _SHOW[format](found, str(write or "plan.json"), rows)
    if write is not None:
        found.plan.write(write)
        print(f"wrote {write}: {_plan_text(found)}", file=sys.stderr)
    if html is not None:
        _write_page(_report(found, str(write or "plan.json")), html)
    if verify and not _is_verified(found, given):
        return EXIT_NO
    return EXIT_CODES[found.verdict.value]


def _check_target(path: Path) -> None:
    """Refuse a plan's file that cannot be written before anything is judged."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(
            "--write names no file that can be written",
            got=str(path),
            instead="give a file such as plan.json, in a folder that is there",
        )


def _plan_text(found: Fit) -> str:
    """What is planned, which may be another form or batch than was asked for."""
    plan = found.plan
    words = [f"{len(plan.layers)} layers", plan.attention, f"batch {plan.step['batch']}"]
    return ", ".join([*words, *(["checkpointing"] if plan.checkpointed else [])])


def _check_rows(rows: str | None, layer: bool, format: OutputFormat) -> None:
    if rows is None:
        return
    if rows not in TABLES:
        raise UnknownName("--rows", rows, TABLES)
    if layer or format not in (OutputFormat.csv, OutputFormat.md):
        raise UsageError(
            "--rows chooses what --format csv and md print of a network",
            got="--layer" if layer else f"--format {format.value}",
            instead="leave it out: other formats have every table",
        )


def _check_verifiable(given: dict[str, Any], verify: bool, format: OutputFormat) -> None:
    if not verify:
        return
    if any(given[flag] is not None for flag in ("gpu", "vram", "arch")):
        raise UsageError(
            "--verify and --emulate run on this machine's device, --gpu is about another card",
            instead="leave one of them out",
        )
    if format is not OutputFormat.table:
        raise UsageError("--verify prints a table", got=format.value, allowed="table")


def _is_verified(found: Fit, given: dict[str, Any]) -> bool:
    """Run the boundary cases and print what became of them; whether no verdict was wrong."""
    from aabench.cli.verifying import show_verified, verify

    device = "cpu" if found.device == "cpu" else given["device"].replace("auto", "cuda:0")
    verified = verify(found, device)
    show_verified(verified, capped=device != "cpu")
    return not any(each.is_right is False for each in verified)


def _write_page(report: FitReport, path: Path) -> None:
    from aabench.cli.page_flags import write_page
    from aabench.report.page.fit_page import page_of_fit

    write_page(path, page_of_fit(report))


def _print_table(found: Fit, file: str, rows: str | None) -> None:
    from aabench.report.fit_table import fit_report
    from aabench.report.terminal import print_to

    report = _report(found, file)
    print_to(sys.stdout, lambda width: fit_report(report, width=width))


def _report(found: Fit, file: str) -> FitReport:
    from aabench.report.fit_table import FitReport

    subject, settings = found.subject, found.subject.settings
    _, height, width = subject.source.input_size
    return FitReport(
        network=subject.source.name,
        case=f"batch {subject.batch}, {settings.mode}, {height}x{width}, {settings.precision}",
        where=found.device,
        usable_bytes=found.budget.usable_bytes,
        budget=_budget_text(found),
        verdict=found.verdict.value,
        attention=subject.attention,
        asked_form=found.asked_form,
        plain_name=subject.source.plain_name,
        plain=found.plain_row,
        forms=found.forms_frame,
        stages=found.stages_frame,
        layers=found.frame,
        remedies=found.remedies_frame,
        maxima=found.maxima_frame,
        basis=found.plain.need.basis,
        lines=found.lines(file),
        notes=found.notes,
    )


def _budget_text(found: Fit) -> str:
    from aabench.report.quantities import bytes_text

    budget = found.budget
    words = [budget.source]
    if budget.reserve_bytes:
        words.append(f"less {bytes_text(budget.reserve_bytes)} reserved")
    if budget.extra_bytes:
        words.append(f"{bytes_text(budget.extra_bytes)} added to every need")
    return ", ".join(words)


def _print_json(found: Fit, file: str, rows: str | None) -> None:
    from aabench.report.fit_table import headline
    from aabench.report.tidy_frame import json_values

    def records(frame: Any) -> list[dict[str, Any]]:
        columns = [json_values(frame[name]) for name in frame.columns]
        return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]

    budget = found.budget
    answer = {
        "schema": SCHEMA,
        "network": found.subject.source.name,
        "verdict": found.verdict.value,
        "headline": list(headline(_report(found, file))),
        "device": found.device,
        "budget": {
            "source": budget.source,
            "total_bytes": budget.total_bytes,
            "reserve_bytes": budget.reserve_bytes,
            "extra_bytes": budget.extra_bytes,
            "usable_bytes": budget.usable_bytes,
        },
        "attention": found.subject.attention,
        "plain": {"network": found.subject.source.plain_name, **found.plain_row},
        "forms": records(found.forms_frame),
        "stages": records(found.stages_frame),
        "layers": records(found.frame),
        "remedies": records(found.remedies_frame),
        "maxima": records(found.maxima_frame),
        "plan": found.plan.to_dict() if found.has_plan else None,
        "notes": list(found.notes),
    }
    print(json.dumps(answer, indent=2))


def _print_csv(found: Fit, file: str, rows: str | None) -> None:
    from aabench.report.records import write_csv

    write_csv(_chosen_table(found, rows), sys.stdout)


def _print_markdown(found: Fit, file: str, rows: str | None) -> None:
    from aabench.report.fit_table import headline
    from aabench.report.markdown_text import markdown_row

    for line in headline(_report(found, file)):
        print(f"{line}\n")
    frame = _chosen_table(found, rows)
    for cells in (frame.columns, ["---"] * len(frame.columns), *frame.astype(object).to_numpy()):
        print(markdown_row([str(cell) for cell in cells]), end="")


def _chosen_table(found: Fit, rows: str | None) -> pd.DataFrame:
    """The table asked for; else one row per layer, where a setting was maximized one per form."""
    frame: pd.DataFrame = getattr(found, TABLES[rows or ("maxima" if found.maxima else "layers")])
    return frame


_SHOW = {
    OutputFormat.table: _print_table,
    OutputFormat.json: _print_json,
    OutputFormat.csv: _print_csv,
    OutputFormat.md: _print_markdown,
}


def _fit_layer(
    axes: dict[str, str],
    maximize: str | None,
    floor: int | None,
    where: dict[str, Any],
    format: OutputFormat,
) -> int:
    """Show the boundary of one layer over two axes; returns the exit code."""
    from aabench.fitting.layer_boundary import fit_layer
    from aabench.report import fit_layer_table
    from aabench.report.records import write_csv, write_json

    found = fit_layer(maximize=maximize, min_key_depth_per_head=floor, **where, **axes)
    if format is OutputFormat.csv:
        write_csv(found.frame, sys.stdout)
    elif format is OutputFormat.json:
        write_json(found.frame, sys.stdout)
    else:
        fit_layer_table.write(found, sys.stdout, as_markdown=format is OutputFormat.md)
    return EXIT_DONE if found.any_fits else EXIT_NO
