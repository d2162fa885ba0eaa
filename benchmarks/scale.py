"""What spreading out costs and gains: predictions on more cores, and handing a task to a worker elsewhere.

- ``predictions``: rows a second on one core and on all of them, the same grid in turns.
- ``dispatch``: wall time from one outcome to the next of tasks that do nothing, with one worker, with
  several on this machine and with a Ray cluster of this machine; what the worker itself does
  (``phases_s``) is taken off.

Run with ``python -m benchmarks.scale [--tasks N] [--rows N]``; prints Markdown tables.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aabench
from aabench.cases.case import Case, Layer
from aabench.cases.grid import Grid
from aabench.cost.target import Target
from aabench.runs.executor import Executor, InOrder, OneWorker
from aabench.runs.in_order import usable_cores
from aabench.runs.predicted_run import predicted_parts
from aabench.runs.request import Request
from aabench.runs.settings import RunSettings
from aabench.runs.several_workers import SeveralWorkers
from aabench.runs.table_file import CsvFile
from aabench.runs.task import Task
from benchmarks.million import GRID

REPEATS = 3

REFUSED = "benchmarks.scale:refuses"
"""A form that refuses at once: what is left of its task is the way there and back."""


def refuses(*inputs: object) -> None:
    """An attention form that computes nothing.

    Raises:
        UnsupportedCase: always.
    """
    from aabench.errors import UnsupportedCase

    raise UnsupportedCase(REFUSED, "a task that does nothing")


def prediction_rows(rows: int) -> Iterator[tuple[str, str]]:
    """Rows a second by number of processes, and the gain."""
    axes = {**GRID, "batch": f"1:{max(1, rows // (len(Grid.of(GRID)) // 3))}"}
    request = Request.of(None, axes, {"device": "cpu"}, yes=True)
    target = Target("cpu", threads=1)
    jobs = (1, usable_cores())
    seconds: dict[int, list[float]] = {count: [] for count in jobs}
    for _ in range(REPEATS):
        for count in jobs:
            with tempfile.TemporaryDirectory() as folder:
                kept = Request(request.name, request.grid, request.settings, Path(folder) / "run")
                start = time.perf_counter()
                for _part in predicted_parts(kept, target, len, keep=CsvFile(), jobs=count):
                    pass
                seconds[count].append(time.perf_counter() - start)
    for count in jobs:
        middle = statistics.median(seconds[count])
        yield (
            f"{len(request.grid):,} predictions written, {count} process" + "es" * (count > 1),
            f"{middle:.1f} s, {len(request.grid) / middle:,.0f} rows/s",
        )
    gains = [one / all_ for one, all_ in zip(*(seconds[count] for count in jobs), strict=True)]
    yield (
        f"{jobs[1]} processes against 1, of {REPEATS} turns",
        f"{statistics.median(gains):.2f}x ({min(gains):.2f} to {max(gains):.2f})",
    )


def dispatch_rows(tasks: int) -> Iterator[tuple[str, str]]:
    """Seconds a task beyond the work of the worker, by executor, in turns."""
    settings = RunSettings(device="cpu", rounds=1, seconds_per_case=0.01)
    executors: dict[str, Callable[[], Executor]] = {
        "one worker": lambda: OneWorker(settings, [REFUSED]),
        "several workers, one device": lambda: SeveralWorkers(settings, [REFUSED], {"cpu": "cpu"}),
    }
    if importlib.util.find_spec("ray") is not None:
        from aabench.runs.ray_cluster import RayCluster

        executors["Ray on this machine"] = lambda: RayCluster(settings, [REFUSED])
    costs: dict[str, list[float]] = {name: [] for name in executors}
    for _ in range(REPEATS):
        for name, make in executors.items():
            costs[name].append(_dispatch_seconds(make(), tasks))
    for name, seconds in costs.items():
        low, middle, high = (1e3 * value for value in _ends(seconds))
        yield f"a task beyond its work, {name}", f"{middle:.1f} ms ({low:.1f} to {high:.1f})"


def _dispatch_seconds(executor: Executor, tasks: int) -> float:
    """Median seconds between outcomes beyond the work that the later one's worker did."""
    layer = Layer(8, 8, 3, 1, 1, 1, 1, 1, "relative", 2, 2)
    cases = [Case(layer, batch, attention=REFUSED) for batch in range(1, tasks + 1)]
    empty = [Task(case, 0, "cpu", 0.01, 1, 0) for case in cases]
    beyond = []
    before = time.perf_counter()
    try:
        for _, outcome in executor.run(InOrder(empty), lambda task: None):
            now = time.perf_counter()
            beyond.append(now - before - sum(outcome.phases_s.values()))
            before = now
    finally:
        executor.close()
    return statistics.median(beyond)


def _ends(values: list[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=150, help="empty tasks a sweep")
    parser.add_argument("--rows", type=int, default=3_000_000, help="predictions, about")
    asked = parser.parse_args()
    print(
        f"aabench {aabench.__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{usable_cores()} cores\n"
    )
    print("| what | median (range) |\n|---|---|")
    for name, value in itertools.chain(prediction_rows(asked.rows), dispatch_rows(asked.tasks)):
        print(f"| {name} | {value} |", flush=True)


if __name__ == "__main__":
    main()
