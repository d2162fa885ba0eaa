"""``aabench sweep``: the main job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aabench.cli.axis_flags import with_axis_flags
from aabench.cli.card_flags import PANEL, Arch, Gpu, Vram, card_target
from aabench.cli.epoch_flags import Epochs, Images
from aabench.cli.output import OutputFormat, show_results
from aabench.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from aabench.cost.target import Target
    from aabench.runs.request import Request

DEFAULT_PROFILE = "quick"


@with_axis_flags
def sweep_command(
    *,
    profile: Annotated[
        str | None,
        typer.Argument(
            help="A built-in profile (aabench list profiles) or a TOML file; flags override it. "
            f"Without profile and axes: {DEFAULT_PROFILE}.",
            show_default=False,
        ),
    ] = None,
    axes: dict[str, str | None],
    device: Annotated[
        str | None,
        typer.Option(
            help="auto, cpu, cuda or cuda:N. (default: auto)",
            rich_help_panel="Run",
            show_default=False,
        ),
    ] = None,
    seconds_per_case: Annotated[
        float | None,
        typer.Option(
            help="Sampling time of a case in seconds, shared by the rounds. (default: 1.5 on the CPU, "
            "3 on CUDA)",
            rich_help_panel="Run",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            help="Passes over the shuffled cases. (default: 2)",
            rich_help_panel="Run",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds after which one round of a case is given up. (default: 600)",
            rich_help_panel="Run",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of the order and the inputs. (default: 0)",
            rich_help_panel="Run",
            show_default=False,
        ),
    ] = None,
    isolate: Annotated[
        bool,
        typer.Option("--isolate", help="A fresh process for every case.", rich_help_panel="Run"),
    ] = False,
    min_key_depth_per_head: Annotated[
        int | None,
        typer.Option(
            help="Floor on dk / heads when dk comes from kappa. (default: 0; published networks: 20)",
            rich_help_panel="Run",
            show_default=False,
        ),
    ] = None,
    epochs: Epochs = None,
    images: Images = None,
    predict: Annotated[
        bool,
        typer.Option(
            "--predict",
            help="Predict every case and run none; files only with --out.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    gpu: Gpu = None,
    vram: Vram = None,
    arch: Arch = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder. (default: results/NAME-HASH, the same for the same command)",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        OutputFormat, typer.Option(help="What goes to standard output.", rich_help_panel="Output")
    ] = OutputFormat.table,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show the cases and the estimated time; run nothing.",
            rich_help_panel="Safety",
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Measure more than a million cases.", rich_help_panel="Safety"),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Put an earlier run aside and start anew.", rich_help_panel="Safety"
        ),
    ] = False,
    retry: Annotated[
        bool,
        typer.Option(
            "--retry", help="Measure again what crashed or timed out.", rich_help_panel="Safety"
        ),
    ] = False,
) -> None:
    """Measure every combination of the axes' values, and keep every row.

    Values: 8 | 2,4,8 | 0.1:0.5:0.1 (both ends in) | 2^3:2^6. Lists mean the product. dk and kappa
    exclude each other, so do dv and upsilon. The same command resumes an interrupted sweep.

    Example: aabench sweep --in-channels 64 --heads 2,4,8 --kappa 0.1:0.5:0.1 --resolution 14,28
    --mode infer,train --out results/mine
    """
    from aabench.cli.planning import show_plan
    from aabench.runs.request import Request
    from aabench.runs.training_time import images_to_train

    settings = {
        "device": device,
        "seconds_per_case": seconds_per_case,
        "rounds": rounds,
        "timeout": timeout,
        "seed": seed,
        "isolate": isolate or None,
        "min_key_depth_per_head": min_key_depth_per_head,
    }
    asked = any(value is not None for value in axes.values())
    named = profile or (None if asked else DEFAULT_PROFILE)
    trained = images_to_train(epochs, images)
    card = card_target(gpu, vram, arch)
    runs_nothing = dry_run or predict or card is not None
    request = Request.of(
        named, axes, settings, out=out, again=again, retry=retry, yes=yes or runs_nothing
    )
    if dry_run:
        show_plan(request, format)
    elif runs_nothing:
        _predict(request, card, format, keep=out is not None)
    else:
        _run(request, format, trained)


def _predict(request: Request, card: Target | None, format: OutputFormat, *, keep: bool) -> None:
    """Print, and with ``--out`` write, what every case is predicted to cost."""
    from aabench.cli.planning import facts_for
    from aabench.runs.predicted_run import predicted_run
    from aabench.runs.predicting import target_of

    target = card or target_of(facts_for(request))
    show_results(predicted_run(request, target, keep=keep), format)


def _run(request: Request, format: OutputFormat, trained: float | None) -> None:
    """Measure with a progress bar on standard error; the table goes to standard output."""
    from aabench.cli.watching import watched_sweep
    from aabench.runs.training_time import with_training_hours

    try:
        frame = watched_sweep(request)
    except KeyboardInterrupt:
        print(
            f"\naabench: interrupted; what was measured is in {request.folder}\n"
            f"resume with: {' '.join(_same_command())}",
            file=sys.stderr,
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    show_results(frame if trained is None else with_training_hours(frame, trained), format)


def _same_command() -> list[str]:
    """What to type to go on; --again would start anew, so it is left out."""
    import shlex

    words = ["aabench", *sys.argv[1:]]
    return [shlex.quote(word) for word in words if word != "--again"]
