"""What aabench itself costs: start-up of quick commands, and time per case beyond the measuring.

Run with ``python -m benchmarks.harness [CASES]``, in hundreds; prints a Markdown table. Ratios and
medians only: the machine it runs on is named in the table.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import aabench
from aabench.runs.door import measure
from aabench.runs.request import Request
from aabench.runs.sweeping import Unobserved
from aabench.runs.task import Outcome, Task

QUICK = (
    ["--help"],
    ["sweep", "--help"],
    ["list", "attentions"],
    ["list", "columns"],
)
REPEATS = 7


class Watch(Unobserved):
    """An observer that notes when each task was handed out and when its outcome was on disk."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []
        self.resident: list[tuple[int, int, int]] = []
        self._begun = self._processor_begun = 0.0
        self._process = psutil.Process()

    def started(self, task: Task) -> None:
        """Note the time."""
        self._begun, self._processor_begun = time.perf_counter(), time.process_time()

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Note what the task took beyond the phases of its own work."""
        elapsed = time.perf_counter() - self._begun
        self.seconds.append(elapsed - sum(outcome.phases_s.values()))
        self.processor_seconds.append(time.process_time() - self._processor_begun)
        workers = sum(child.memory_info().rss for child in self._process.children())
        here = self._process
        self.resident.append((here.memory_info().rss, workers, here.num_fds()))


def startup_rows() -> list[tuple[str, str]]:
    """Median and range of the wall time of quick commands, beside an empty interpreter's."""
    commands = [[sys.executable, "-c", "pass"]]
    commands += [[sys.executable, "-m", "aabench", *words] for words in QUICK]
    rows = []
    times: dict[int, list[float]] = {index: [] for index in range(len(commands))}
    for _ in range(REPEATS):
        for index, command in enumerate(commands):
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times[index].append(time.perf_counter() - start)
    for index in range(len(commands)):
        name = "python -c pass" if index == 0 else f"aabench {' '.join(QUICK[index - 1])}"
        rows.append((name, spread(times[index])))
    return rows


def overhead_rows(cases: int) -> list[tuple[str, str]]:
    """Time per task beyond warm-up, samples, memory pass, check and building, early and late."""
    with tempfile.TemporaryDirectory() as folder:
        # Small cases of about one size, however many: what grows must be the harness, not its cases.
        # Each layer has its plain convolution beside it, which is a case as well.
        axes = {
            "in_channels": f"2:{max(2, cases // 200 + 1)}",
            "heads": 1,
            "dk": 1,
            "dv": 1,
            "attention": "broadcast",
            "resolution": "2:11",
            "batch": "1:10",
        }
        settings = {"device": "cpu", "seconds_per_case": 0.01, "rounds": 1}
        watch = Watch()
        request = Request.of(None, axes, settings, out=Path(folder) / "run")
        measure(request, watch)
        rows = (Path(folder) / "run" / "rows.jsonl").read_text().splitlines()
        phases = [json.loads(row)["phases_s"] for row in rows]
    # Not the very last: the worker is on its way out then.
    first, last = (watch.resident[len(watch.resident) * part // 20] for part in (2, 19))
    quarter = max(1, len(watch.seconds) // 4)
    result = [
        (
            f"beyond the phases, first quarter of {len(rows)} tasks",
            spread(watch.seconds[1:quarter]),
        ),
        ("beyond the phases, last quarter", spread(watch.seconds[-quarter:])),
        ("processor time of the parent, first quarter", spread(watch.processor_seconds[1:quarter])),
        ("processor time of the parent, last quarter", spread(watch.processor_seconds[-quarter:])),
    ]
    for place, what in enumerate(("parent resident MiB", "worker resident MiB")):
        result.append(
            (
                what,
                f"{first[place] / 2**20:.0f} after a tenth, {last[place] / 2**20:.0f} after 95 %",
            )
        )
    result.append(("open files of the parent", f"{first[2]} after a tenth, {last[2]} after 95 %"))
    for name in sorted({name for phase in phases for name in phase}):
        values = [phase[name] for phase in phases if name in phase]
        result.append((f"phase {name}", spread(values)))
    return result


def spread(seconds: list[float]) -> str:
    """Median and range in milliseconds."""
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    return f"{middle * 1e3:.1f} ms ({low * 1e3:.1f} to {high * 1e3:.1f})"


def main() -> None:
    """Print the table."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(
        f"aabench {aabench.__version__}, Python {platform.python_version()}, {platform.machine()}\n"
    )
    print("| what | median (range) |\n|---|---|")
    for name, value in [*startup_rows(), *overhead_rows(cases)]:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
