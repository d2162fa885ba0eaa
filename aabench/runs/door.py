"""The Python door to sweeping: one call, the same rows as on the command line, as a DataFrame."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aabench.errors import RunError
from aabench.runs.executor_choice import executor_for
from aabench.runs.reading import write_table
from aabench.runs.request import Request
from aabench.runs.sweeping import Observer, Sweep, Unobserved

if TYPE_CHECKING:
    import pandas as pd


def sweep(
    profile: str | None = None,
    *,
    out: str | Path | None = None,
    again: bool = False,
    retry: bool = False,
    yes: bool = False,
    device: str | None = None,
    seconds_per_case: float | None = None,
    rounds: int | None = None,
    timeout: float | None = None,
    seed: int | None = None,
    isolate: bool | None = None,
    ray: str | None = None,
    min_key_depth_per_head: int | None = None,
    **axes: Any,
) -> pd.DataFrame:
    """Measure a grid of layers; the rows are on disk as soon as they exist.

    ``aabench.sweep(in_channels=256, heads=[2, 8], resolution=[14, 28])`` measures four layers. Axis
    values are single values, lists (the product is taken) or the command line's text; the names are
    the columns of ``aabench list columns``, group *case*. Works from a notebook, from standard input
    and from a script without a main guard.

    Args:
        profile: a built-in profile's name or a TOML file; the axes override it.
        out: the run folder; default ``results/NAME-HASH``, the same for the same call, which
            therefore resumes it.
        again: put an earlier run in that folder aside.
        retry: measure again what crashed or timed out.
        yes: measure more than a million cases.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``cuda:0,cuda:2`` or ``all`` cards, each with a
            worker of its own.
        seconds_per_case: sampling time of a case in seconds.
        rounds: passes over the shuffled list of cases.
        timeout: seconds after which one round of a case is given up.
        seed: of the order of cases and of their inputs.
        isolate: a fresh process for every case.
        ray: run on a Ray cluster: its address, ``auto`` for the one of this machine, ``local`` for
            one that is started for this call.
        min_key_depth_per_head: floor on dk / heads when dk comes from kappa.
        **axes: values of the axes.

    Returns:
        One row per case in grid order, failed ones included; see ``aabench list columns``.

    Raises:
        UsageError: something in the call cannot be used; nothing was run or written.
        RunError: the run could not go on; what was measured is kept.
    """
    settings = {
        "device": device,
        "seconds_per_case": seconds_per_case,
        "rounds": rounds,
        "timeout": timeout,
        "seed": seed,
        "isolate": isolate,
        "min_key_depth_per_head": min_key_depth_per_head,
    }
    request = Request.of(
        profile, axes, settings, out=out, again=again, retry=retry, yes=yes, ray=ray
    )
    return measure(request, Unobserved())


def measure(request: Request, observer: Observer) -> pd.DataFrame:
    """Run a request to its end, and leave a table even when it is cut short."""
    executor = executor_for(request, observer.message)
    run = Sweep(request, executor, observer)
    try:
        run.run()
    except BaseException:
        executor.close()
        if run.has_begun:
            # The table is made from the records: what stopped the run matters more than its lack.
            with contextlib.suppress(RunError):
                write_table(request.folder)
        raise
    executor.close()
    return write_table(request.folder)
