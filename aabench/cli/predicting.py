"""Predicting on the command line: what every case costs, printed and, with ``--out``, written."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from aabench.cli.error_console import error_console
from aabench.cli.output import OutputFormat, prepare_stdout, show_results
from aabench.cli.planning import facts_for
from aabench.cost.target import Target
from aabench.errors import UsageError
from aabench.report.prediction_digest import PredictionDigest, digest_table
from aabench.report.progress import SweepProgress
from aabench.report.records import write_csv, write_json
from aabench.report.terminal import print_to
from aabench.report.tidy_frame import tidy
from aabench.runs.in_order import usable_cores
from aabench.runs.predicted_run import predicted_parts, predicted_run
from aabench.runs.predicting import TraceObserver, facts_of, has_closed_forms, target_of
from aabench.runs.request import Request
from aabench.runs.table_file import TableFile

if TYPE_CHECKING:
    import pandas as pd

Rendered = TypeVar("Rendered")

MOST_HELD = 200_000
"""A grid of more cases is never held as a whole: it is predicted, written and summed up part by part."""


def show_prediction(
    request: Request,
    card: Target | None,
    format: OutputFormat,
    *,
    keep: TableFile | None,
    jobs: int | None,
) -> None:
    """Print, and if they are to be kept write, what every case is predicted to cost."""
    target = card or target_of(facts_for(request))
    jobs = jobs or usable_cores()
    if len(request.grid) > MOST_HELD and has_closed_forms(request.grid):
        _stream(request, target, format, keep=keep, jobs=jobs)
        return
    with _tracing(request) as observer:
        frame = predicted_run(request, target, keep=keep, jobs=jobs, observer=observer)
    show_results(frame, format)


def _stream(
    request: Request, target: Target, format: OutputFormat, *, keep: TableFile | None, jobs: int
) -> None:
    """Print what comes as it comes; a table sums it up."""
    if format is OutputFormat.md:
        raise UsageError(
            f"--format md holds all rows, which are too many above {MOST_HELD:,}",
            got=f"{len(request.grid):,}",
            instead="take --format csv or json, or a table, which sums them up",
        )
    target.bands  # noqa: B018  loaded once, and sent to all processes with the target
    if format is OutputFormat.table:
        digest = PredictionDigest()
        for part in _parts(request, target, PredictionDigest.of, keep=keep, jobs=jobs):
            digest.add(part)
        attrs = {"name": f"{request.name}, predicted", "device": facts_of(target).name}
        if keep:
            attrs |= {"folder": str(request.folder), "table": keep.name}
        print_to(sys.stdout, lambda width: digest_table(digest, attrs, width=width))
        return
    prepare_stdout(format)
    texts = _JOINED[format](_parts(request, target, _RENDERED[format], keep=keep, jobs=jobs))
    try:
        sys.stdout.writelines(texts)
    except BrokenPipeError:
        if keep:  # the file is wanted whole, whoever has stopped reading
            deque(texts, maxlen=0)
        raise


def _parts(
    request: Request,
    target: Target,
    render: Callable[[pd.DataFrame], Rendered],
    *,
    keep: TableFile | None,
    jobs: int,
) -> Iterator[Rendered]:
    """What is made of each part, under a progress bar that counts rows."""
    console = error_console()
    with SweepProgress(console, len(request.grid), f"{request.name}, predicting") as progress:
        for part in predicted_parts(request, target, render, keep=keep, jobs=jobs):
            yield part.rendered
            progress.advanced(part.rows)


def csv_lines(frame: pd.DataFrame) -> str:
    """Some rows as CSV, with their head."""
    return _text(write_csv, frame)


def json_lines(frame: pd.DataFrame) -> str:
    """Some rows as JSON, a record a line."""
    return _text(write_json, frame)


def _text(write: Callable[[pd.DataFrame, Any], None], frame: pd.DataFrame) -> str:
    stream = io.StringIO(newline="")
    write(tidy(frame), stream)
    return stream.getvalue()


def _one_head(texts: Iterator[str]) -> Iterator[str]:
    """CSV texts as one: the head of the first alone."""
    yield next(texts)
    for text in texts:
        yield text.partition("\n")[2]


def _one_list(texts: Iterator[str]) -> Iterator[str]:
    """JSON lists as one."""
    separator = "[\n"
    for text in texts:
        yield separator + text.removeprefix("[\n").removesuffix("\n]\n")
        separator = ",\n"
    yield "\n]\n"


_RENDERED: dict[OutputFormat, Callable[[pd.DataFrame], str]] = {
    OutputFormat.csv: csv_lines,
    OutputFormat.json: json_lines,
}
_JOINED: dict[OutputFormat, Callable[[Iterator[str]], Iterator[str]]] = {
    OutputFormat.csv: _one_head,
    OutputFormat.json: _one_list,
}


class _TraceProgress(TraceObserver):
    """Draws how many cases are traced."""

    def __init__(self, title: str) -> None:
        self._title = title
        self.bar: SweepProgress | None = None

    def planned(self, cases: int) -> None:
        """Show a bar if there is anything to wait for."""
        if cases > 1:
            self.bar = SweepProgress(error_console(), cases, self._title)
            self.bar.__enter__()

    def advanced(self, cases: int) -> None:
        """Move it."""
        if self.bar is not None:
            self.bar.advanced(cases)


@contextmanager
def _tracing(request: Request) -> Iterator[TraceObserver]:
    observer = _TraceProgress(f"{request.name}, predicting")
    try:
        yield observer
    finally:
        if observer.bar is not None:
            observer.bar.__exit__(None, None, None)
