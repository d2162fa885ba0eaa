"""``aabench fit``: which layers of a network fit a memory budget, and what to change so that more do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aabench.cases.axes import LAYER_AXES, NETWORK_AXES, STEP_AXES
from aabench.cases.byte_size import parse_bytes
from aabench.cli.axis_flags import with_axis_flags
from aabench.cli.card_flags import Arch, Gpu, Vram, named_card
from aabench.cli.fit_flags import (
    Budget,
    Device,
    Emulate,
    Extra,
    Layer,
    Maximize,
    MinKeyDepthPerHead,
    Reserve,
    Rows,
    Verify,
    Write,
)
from aabench.cli.fit_output import TABLES, show_fit, write_fit_page
from aabench.cli.image_flags import Input, with_image
from aabench.cli.output import OutputFormat, prepare_stdout
from aabench.cli.page_flags import Html
from aabench.cli.waiting import waiting
from aabench.errors import EXIT_DONE, EXIT_NO, EXIT_UNSURE, UnknownName, UsageError

if TYPE_CHECKING:
    from aabench.fitting.fit import Fit

AXES = [
    axis
    for axis in (*NETWORK_AXES, *LAYER_AXES, *STEP_AXES)
    if axis.name not in ("network", "layer", "compile")
]

EXIT_CODES = {"fits": EXIT_DONE, "does not fit": EXIT_NO, "too close to tell": EXIT_UNSURE}


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
    input: Input = None,
    layer: Layer = False,
    budget: Budget = None,
    reserve: Reserve = None,
    extra: Extra = None,
    gpu: Gpu = None,
    vram: Vram = None,
    arch: Arch = None,
    device: Device = "auto",
    maximize: Maximize = None,
    write: Write = None,
    verify: Verify = False,
    emulate: Emulate = None,
    min_key_depth_per_head: MinKeyDepthPerHead = None,
    rows: Rows = None,
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
    _check_subject(network, layer=layer, html=html)
    _check_rows(rows, layer, format)
    _check_emulated(emulate, budget)
    _check_target(write)
    asked: dict[str, Any] = {
        name: value for name, value in with_image(axes, input).items() if value is not None
    }
    asked |= {"budget": emulate or budget, "reserve": reserve, "extra": extra, "device": device}
    asked |= {"gpu": gpu, "vram": vram, "arch": arch, "maximize": maximize}
    asked |= {"min_key_depth_per_head": min_key_depth_per_head}
    prepare_stdout(format)
    if network is None:
        raise typer.Exit(_fit_layer(asked, format))
    verifies = verify or emulate is not None
    _check_verifiable(asked, format, verifies=verifies)
    found = _judged(network, asked)
    plan_file = str(write or "plan.json")
    try:
        show_fit(found, format, plan_file=plan_file, rows=rows)
    finally:  # files are written even where nobody reads the table to its end
        if write is not None:
            _write_plan(found, write)
        if html is not None:
            write_fit_page(found, html, plan_file=plan_file)
    raise typer.Exit(_exit_code(found, device, verifies=verifies))


def _check_subject(network: str | None, *, layer: bool, html: Path | None) -> None:
    """Refuse neither or both of a network and a layer, and what a layer does not have."""
    if (network is None) != layer:
        raise UsageError(
            "fit wants a network, or --layer and the axes of one",
            got="both" if layer else "neither",
            instead="such as aabench fit aa-wrn28-10 --batch 128 --mode train --gpu t4-16gb",
        )
    if network == "":
        raise UsageError("the network's name is empty", instead="see aabench list networks")
    if layer and html is not None:
        raise UsageError(
            "--html is a page about a network", instead="give a network, or leave it out"
        )


def _check_emulated(emulate: str | None, budget: str | None) -> None:
    if emulate is None:
        return
    parse_bytes(emulate, "--emulate")
    if budget is not None:
        raise UsageError("--emulate is a budget itself", instead="give --budget or --emulate")


def _check_target(path: Path | None) -> None:
    """Refuse a plan's file that cannot be written before anything is judged."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise UsageError(
            "--write names no file that can be written",
            got=str(path),
            instead="give a file such as plan.json, in a folder that is there",
        )


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


def _check_verifiable(asked: Mapping[str, Any], format: OutputFormat, *, verifies: bool) -> None:
    if not verifies:
        return
    if any(asked[flag] is not None for flag in ("gpu", "vram", "arch")):
        raise UsageError(
            "--verify and --emulate run on this machine's device, --gpu is about another card",
            instead="leave one of them out",
        )
    if format is not OutputFormat.table:
        raise UsageError("--verify prints a table", got=format.value, allowed="table")


def _judged(network: str, asked: dict[str, Any]) -> Fit:
    from aabench.fitting.door import fit

    named_card(asked["gpu"], asked["vram"], asked["arch"])  # says if there will be no times
    with waiting(f"judging {network}"):
        return fit(network, **asked)


def _write_plan(found: Fit, path: Path) -> None:
    """Write what is planned, which may be another form or batch than was asked for, and say it."""
    plan = found.plan
    plan.write(path)
    words = [f"{len(plan.layers)} layers", plan.attention, f"batch {plan.step['batch']}"]
    words += ["checkpointing"] if plan.checkpointed else []
    print(f"wrote {path}: {', '.join(words)}", file=sys.stderr)


def _exit_code(found: Fit, device: str, *, verifies: bool) -> int:
    """The prediction's; a verdict that a trial refutes makes it that of an answer no."""
    if verifies and not _is_verified(found, device):
        return EXIT_NO
    return EXIT_CODES[found.verdict.value]


def _is_verified(found: Fit, device: str) -> bool:
    """Run the boundary cases and print what became of them; whether no verdict was wrong."""
    from aabench.cli.verifying import show_verified, verify

    device = "cpu" if found.device == "cpu" else device.replace("auto", "cuda:0")
    verified = verify(found, device)
    show_verified(verified, capped=device != "cpu")
    return not any(each.is_right is False for each in verified)


def _fit_layer(asked: dict[str, Any], format: OutputFormat) -> int:
    """Show the boundary of one layer over two axes; returns the exit code."""
    from aabench.fitting.layer_boundary import fit_layer
    from aabench.report import fit_layer_table
    from aabench.report.records import write_csv, write_json

    found = fit_layer(**asked)
    if format is OutputFormat.csv:
        write_csv(found.frame, sys.stdout)
    elif format is OutputFormat.json:
        write_json(found.frame, sys.stdout)
    else:
        fit_layer_table.write(found, sys.stdout, as_markdown=format is OutputFormat.md)
    return EXIT_DONE if found.any_fits else EXIT_NO
