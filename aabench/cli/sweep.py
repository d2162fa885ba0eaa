"""``aabench sweep``: the main job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aabench.cli.axis_flags import with_axis_flags
from aabench.cli.card_flags import Arch, Gpu, Vram, card_target
from aabench.cli.epoch_flags import Epochs, Images
from aabench.cli.output import OutputFormat, show_results
from aabench.cli.predict_flags import Jobs, Parquet, Predict, check_jobs, kept_as
from aabench.cli.run_flags import (
    Device,
    Isolate,
    MinKeyDepthPerHead,
    Ray,
    Rounds,
    SecondsPerCase,
    Seed,
    Timeout,
)
from aabench.cli.target_flags import Again, DryRun, Format, Out, Retry, Yes

if TYPE_CHECKING:
    import pandas as pd

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
    device: Device = None,
    ray: Ray = None,
    seconds_per_case: SecondsPerCase = None,
    rounds: Rounds = None,
    timeout: Timeout = None,
    seed: Seed = None,
    isolate: Isolate = False,
    min_key_depth_per_head: MinKeyDepthPerHead = None,
    epochs: Epochs = None,
    images: Images = None,
    predict: Predict = False,
    gpu: Gpu = None,
    vram: Vram = None,
    arch: Arch = None,
    jobs: Jobs = None,
    parquet: Parquet = False,
    out: Out = None,
    format: Format = OutputFormat.table,
    dry_run: DryRun = False,
    yes: Yes = False,
    again: Again = False,
    retry: Retry = False,
) -> None:
    """Measure every combination of the axes' values, and keep every row.

    Values: 8 | 2,4,8 | 0.1:0.5:0.1 (both ends in) | 2^3:2^6. Lists mean the product. dk and kappa
    exclude each other, so do dv and upsilon. The same command resumes an interrupted sweep.

    Example: aabench sweep --in-channels 64 --heads 2,4,8 --kappa 0.1:0.5:0.1 --resolution 14,28
    --mode infer,train --out results/mine
    """
    from aabench.cli.planning import show_plan
    from aabench.cli.predicting import show_prediction
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
    named = DEFAULT_PROFILE if profile is None and not asked else profile
    trained = images_to_train(epochs, images)
    card = card_target(gpu, vram, arch)
    runs_nothing = dry_run or predict or card is not None
    predicts = runs_nothing and not dry_run
    check_jobs(jobs, predicts=predicts)
    kept = kept_as(parquet=parquet, predicts=predicts, has_folder=out is not None)
    request = Request.of(
        named, axes, settings, out=out, again=again, retry=retry, yes=yes or runs_nothing, ray=ray
    )
    if dry_run:
        show_plan(request, format)
    elif runs_nothing:
        show_prediction(request, card, format, keep=kept, jobs=jobs)
    else:
        _run(request, format, trained)


def _run(request: Request, format: OutputFormat, trained: float | None) -> None:
    """Measure with a progress bar on standard error; the table goes to standard output."""
    from aabench.cli.watching import watched_sweep
    from aabench.runs.training_time import with_training_hours

    try:
        frame = watched_sweep(request)
    except KeyboardInterrupt as stop:
        stop.add_note(
            f"what was measured is in {request.folder}\nresume with: {' '.join(_same_command())}"
        )
        raise
    try:
        show_results(frame if trained is None else with_training_hours(frame, trained), format)
    finally:
        _say_if_nothing_ran(frame, request)


def _say_if_nothing_ran(frame: pd.DataFrame, request: Request) -> None:
    """Say that a sweep has not a single figure, which is no error but hardly what was meant."""
    from aabench.report.statuses import shown_status, status_counts

    counts = status_counts(shown_status(frame))
    if "ok" in counts:
        return
    ends = ", ".join(f"{rows:,} {status}" for status, rows in counts.items())
    retry = "; --retry measures again what crashed or timed out"
    print(
        f"aabench: no case gave a figure ({ends}); aabench report {request.folder} says why, under "
        f"Not measured{retry if {'crashed', 'timeout'} & set(counts) else ''}",
        file=sys.stderr,
    )


def _same_command() -> list[str]:
    """What to type to go on; --again would start anew, so it is left out."""
    import shlex

    words = ["aabench", *sys.argv[1:]]
    return [shlex.quote(word) for word in words if word != "--again"]
