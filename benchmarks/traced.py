"""Traced prediction against real steps on this CPU, and against torch's own memory tracker.

The first table gives predicted against real peak memory of whole networks; the real one comes from the
events of torch's own allocator and shares no formula with the prediction. The second traces the same
training steps with ``torch.distributed._tools.mem_tracker.MemTracker``, one after the other in every
round, so that what else the machine does meets both. That tracker sees results only, no kernel's
scratch, and so it is compared with a trace of results alone; it traces an attention form's own
operations, where a trace takes its closed form. Of `factored` that is the one of CUDA's kernel, which
pads values less than the CPU's, and so the two differ there.

Run with ``python -m benchmarks.traced [--quick]``; prints Markdown tables.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from aabench.cost.traced.fake_model import fake_copy
from aabench.cost.traced.network_step import NetworkStep
from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.trace import trace_step
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.networks.building import build_network

Shape = tuple[int, int, int, int]

RESULTS_ALONE = "cuda"
"""Of this type of device no kernel's scratch is known, and none is added."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A network with the batch that it is run on.

    Attributes:
        name: as in ``aabench list networks``.
        shape: (B, C, H, W).
        options: of its builder.
    """

    name: str
    shape: Shape
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name, form and input."""
        form = self.options.get("attention")
        what = self.name if form is None else f"{self.name}, {form}"
        return f"{what}, {'x'.join(map(str, self.shape))}"

    def built(self, device: str) -> nn.Module:
        """The network, on a device."""
        torch.manual_seed(0)
        with torch.device(device):
            return build_network(self.name, **self.options)


SUBJECTS = (
    Subject("wrn28-10", (4, 3, 32, 32)),
    *(
        Subject("aa-wrn28-10", (2, 3, 32, 32), {"attention": form})
        for form in ("materialized", "factored", "blocked")
    ),
    Subject("resnet50", (1, 3, 224, 224)),
    Subject("resnet50", (4, 3, 224, 224)),
    *(
        Subject("aa-resnet50", (2, 3, 224, 224), {"attention": form})
        for form in ("materialized", "blocked")
    ),
    Subject("mnasnet-1.0", (2, 3, 224, 224)),
    Subject("retinanet-resnet50", (1, 3, 320, 320)),
)

SETTINGS = (
    StepSettings(mode="infer"),
    StepSettings(mode="train"),
    StepSettings(mode="train", optimizer="adam"),
    StepSettings(mode="train", precision="amp-bf16"),
)


def accuracy_rows(subjects: tuple[Subject, ...], settings: StepSettings) -> Iterator[str]:
    """Predicted against real peaks, one Markdown row a network."""
    for subject in subjects:
        model = subject.built("cpu")
        predicted = trace_step(model, subject.shape, settings)
        step = NetworkStep(model, torch.randn(subject.shape), settings)
        real = measure_cpu_memory(step, step.base_tensors)
        mode = " ".join(filter(None, (settings.mode, settings.optimizer, settings.precision)))
        of_peak = predicted.peak_bytes / real.peak_allocated_bytes - 1
        of_step = predicted.step_peak_bytes / real.step_peak_bytes - 1
        yield (
            f"| {subject.label} | {mode} | {real.peak_allocated_bytes:,} | "
            f"{predicted.peak_bytes:,} | {100 * of_peak:+.3f} % | {real.step_peak_bytes:,} | "
            f"{predicted.step_peak_bytes:,} | {100 * of_step:+.3f} % |"
        )


def tracker_peak(model: nn.Module, shape: Shape, settings: StepSettings) -> int:
    """The peak that torch's tracker gives for the same step on fake tensors."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    twin = fake_copy(model, mode, settings)
    with mode:
        step = NetworkStep(twin, torch.empty(shape, dtype=settings.dtype), settings)
        for parameter in twin.parameters():
            parameter.grad = torch.empty_like(parameter)
        step.update()
        step.reset()
        tracker = MemTracker()
        assert step.optimizer is not None
        tracker.track_external(twin, step.optimizer, step.input)
        with tracker:
            step.run()
    (peaks,) = tracker.get_tracker_snapshot("peak").values()
    return int(peaks["Total"])


def tracker_rows(subjects: tuple[Subject, ...], rounds: int) -> Iterator[str]:
    """Time and peak of both, one Markdown row a network."""
    settings = StepSettings(mode="train", device_type=RESULTS_ALONE)
    on_cpu = replace(settings, device_type="cpu")
    for subject in subjects:
        model = subject.built("meta")
        ours, theirs = trace_step(model, subject.shape, settings).peak_bytes, 0
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(rounds):
            begin = time.perf_counter()
            theirs = tracker_peak(model, subject.shape, settings)
            middle = time.perf_counter()
            trace_step(model, subject.shape, on_cpu)
            seconds["theirs"].append(middle - begin)
            seconds["ours"].append(time.perf_counter() - middle)
        ratios = [a / b for a, b in zip(seconds["theirs"], seconds["ours"], strict=True)]
        yield (
            f"| {subject.label} | {statistics.median(seconds['ours']):.2f} | "
            f"{statistics.median(seconds['theirs']):.2f} | {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f}–{max(ratios):.1f}) | {theirs:,} | {ours:,} | "
            f"{100 * (ours / theirs - 1):+.3f} % |"
        )


def table(heads: tuple[str, ...], rows: Iterator[str]) -> None:
    """Print a Markdown table row by row, as they come."""
    print(f"| {' | '.join(heads)} |")
    print(f"|{'---|' * len(heads)}")
    for row in rows:
        print(row, flush=True)
    print()


def main() -> None:
    """Compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three networks, two kinds of step")
    parser.add_argument("--rounds", type=int, default=5, help="of the second table")
    asked = parser.parse_args()
    subjects = SUBJECTS[:3] if asked.quick else SUBJECTS
    settings = SETTINGS[:2] if asked.quick else SETTINGS
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}; real steps against traced ones\n"
    )
    heads = ("network", "step", "peak: real", "traced", "error", "step's peak: real", "traced")
    rows = (row for each in settings for row in accuracy_rows(subjects, each))
    table((*heads, "error"), rows)
    print("A training step of SGD with momentum, traced by both; seconds, medians of", end=" ")
    print(f"{asked.rounds} interleaved rounds, and ratios within a round\n")
    of_tracker = ("s: traced", "s: MemTracker", "ratio", "peak: MemTracker", "traced", "difference")
    table(("network", *of_tracker), tracker_rows(subjects, asked.rounds))


if __name__ == "__main__":
    main()
