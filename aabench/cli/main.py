"""The entry point: the commands by name, and what an error looks like to the person who made it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from aabench import __version__
from aabench.cli import (
    calibrate,
    compare,
    doctor,
    fit,
    layer,
    listing,
    network,
    paper,
    report,
    sweep,
)
from aabench.cli.command_group import CommandGroup, flush_streams
from aabench.cli.run_flags import SweepCommand
from aabench.errors import AabenchError

app = typer.Typer(
    name="aabench",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What attention-augmented convolutions cost, in time and memory, and which of them fit.",
    epilog="Start with: aabench sweep quick",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aabench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options of aabench itself."""


app.command("sweep", cls=SweepCommand)(sweep.sweep_command)
app.command("layer")(layer.layer_command)
app.command("fit")(fit.fit_command)
app.command("network")(network.network_command)
app.command("report")(report.report_command)
app.command("compare")(compare.compare_command)
app.command("paper")(paper.paper_command)
app.command("list")(listing.list_command)
app.command("doctor")(doctor.doctor_command)
app.command("calibrate")(calibrate.calibrate_command)


def main() -> None:
    """Run the command line; an error becomes one line on standard error and its exit code."""
    _open_closed_streams()
    try:
        app()
    except AabenchError as error:
        print(f"aabench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        flush_streams()  # help and errors, which may go unread as well


def _open_closed_streams() -> None:
    """Give a process that was started without standard streams some that lead nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w")  # noqa: SIM115  open as long as the process lives
            setattr(sys, name, nowhere)
