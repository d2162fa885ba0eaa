"""Predicted against real peak memory of random layers on this CPU, by attention form.

Cases are drawn afresh from every axis that decides how a step runs; those whose peak stays below
1 MiB are left out. The real peak comes from the events of torch's own allocator and shares no
formula with the prediction. Errors are given on the peak and on the step's share of it, so that
weights and inputs cannot flatter them.

Run with ``python benchmarks/prediction.py --cases 20 --seed 3``; prints Markdown tables.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from aabench.cases.case import Case, Layer
from aabench.cases.catalogue import ATTENTIONS
from aabench.cases.validity import layer_problem
from aabench.cost.columns import LayerColumns
from aabench.cost.layers import closed_form, predict_layers
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.runs.subject import build_subject

LEAST_BYTES = 1 << 20
MODES = ("infer", "train")
PRECISIONS = ("fp32", "bf16")
WORST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Comparison:
    """One case, predicted and measured.

    Attributes:
        case: the case.
        predicted_bytes: its predicted peak.
        measured_bytes: its real peak.
        predicted_step_bytes: the step's share of the predicted peak.
        measured_step_bytes: and of the real one.
    """

    case: Case
    predicted_bytes: int
    measured_bytes: int
    predicted_step_bytes: int
    measured_step_bytes: int

    @property
    def peak_error(self) -> float:
        """Relative error of the peak."""
        return self.predicted_bytes / self.measured_bytes - 1

    @property
    def step_error(self) -> float:
        """Relative error of the step's share."""
        return self.predicted_step_bytes / self.measured_step_bytes - 1


def draw_layer(rng: random.Random, *, reducing: bool = False) -> Layer:
    """A possible layer, from tiny ones to those of the published networks.

    Args:
        rng: where it is drawn from.
        reducing: whether to draw until its resolution is reduced, by a stride or before attention,
            or its kernel is 1x1: these run by rules of their own and are drawn seldom otherwise.
    """
    while True:
        heads = rng.choice((1, 2, 4, 8))
        layer = Layer(
            in_channels=rng.choice((3, 16, 20, 64, 100, 128, 256, 512)),
            out_channels=rng.choice((24, 32, 64, 96, 128, 200, 256, 512)),
            kernel_size=rng.choice((1, 3, 3, 3, 5)),
            stride=rng.choice((1, 1, 1, 2)),
            downsample=rng.choice((1, 1, 1, 2)),
            heads=heads,
            dk=heads * rng.choice((1, 2, 4, 8, 16, 20, 32)),
            dv=heads * rng.choice((1, 2, 4, 8, 16)),
            position=rng.choice(("relative", "relative", "none")),
            height=rng.randint(5, 40),
            width=rng.randint(5, 40),
        )
        if reducing and layer.kernel_size > 1 and layer.stride * layer.downsample == 1:
            continue
        if layer_problem(layer) is None:
            return layer


def draw_case(
    rng: random.Random, form: str, mode: str, precision: str, most_bytes: int, *, reducing: bool
) -> Case:
    """A case whose full attention map, if there is one, is at most so large."""
    while True:
        layer = draw_layer(rng, reducing=reducing)
        case = Case(layer, rng.choice((1, 2, 3, 4, 8, 16)), mode, precision, form)
        if case.batch * layer.heads * layer.tokens**2 * 4 <= most_bytes:
            return case.canonical()


def compared(case: Case) -> Comparison | None:
    """A case predicted and measured; None if its peak is too small to count."""
    columns = LayerColumns.from_cases([case], "cpu", torch.get_num_threads())
    figures = {name: values[0].item() for name, values in predict_layers(columns).items()}
    if figures["predicted_peak_bytes"] < LEAST_BYTES:
        return None
    subject = build_subject(case, torch.device("cpu"), seed=0)
    real = measure_cpu_memory(subject, subject.base_tensors)
    if real.peak_allocated_bytes < LEAST_BYTES:
        return None
    return Comparison(
        case,
        figures["predicted_peak_bytes"],
        real.peak_allocated_bytes,
        figures["predicted_step_peak_bytes"],
        real.step_peak_bytes,
    )


def comparisons(
    cases: int, seed: int, most_bytes: int, *, reducing: bool = False
) -> Iterator[Comparison]:
    """So many comparisons for each form, mode and precision."""
    rng = random.Random(seed)
    told = {name: closed_form(name) for name in ATTENTIONS.names()}
    forms = [name for name, form in told.items() if form is not None and form.knows_memory("cpu")]
    for form in forms:
        for mode in MODES:
            for precision in PRECISIONS:
                found = 0
                while found < cases:
                    case = draw_case(rng, form, mode, precision, most_bytes, reducing=reducing)
                    row = compared(case)
                    if row is not None:
                        found += 1
                        yield row


def table(rows: Sequence[Comparison], key: Callable[[Case], str], title: str) -> str:
    """Errors by some property of the case, as Markdown."""
    groups: dict[str, list[Comparison]] = {}
    for row in rows:
        groups.setdefault(key(row.case), []).append(row)
    lines = [
        f"| {title} | cases | peak: median | 95 % | worst | step's peak: median | 95 % | worst |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, group in {**groups, "all": list(rows)}.items():
        cells = [name, str(len(group))]
        for errors in (
            sorted(abs(row.peak_error) for row in group),
            sorted(abs(row.step_error) for row in group),
        ):
            tail = errors[min(len(errors) - 1, int(0.95 * len(errors)))]
            cells += [
                f"{100 * value:.2f} %" for value in (statistics.median(errors), tail, errors[-1])
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def worst(rows: Sequence[Comparison]) -> str:
    """The cases with the largest errors, as Markdown."""
    lines = ["| step's peak: error | real bytes | predicted | case |", "|---:|---:|---:|---|"]
    for row in sorted(rows, key=lambda row: -abs(row.step_error))[:WORST_SHOWN]:
        case, layer = row.case, row.case.layer
        what = (
            f"{case.attention} {case.mode} {case.precision} batch {case.batch}, "
            f"{layer.in_channels} to {layer.out_channels} channels, kernel {layer.kernel_size}, "
            f"stride {layer.stride}, downsample {layer.downsample}, heads {layer.heads}, "
            f"dk {layer.dk}, dv {layer.dv}, {layer.position}, {layer.height}x{layer.width}"
        )
        lines.append(
            f"| {100 * row.step_error:+.2f} % | {row.measured_step_bytes:,} | "
            f"{row.predicted_step_bytes:,} | {what} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Draw, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=25, help="per form, mode and precision")
    parser.add_argument("--seed", type=int, help="default: the clock")
    parser.add_argument("--most-mib", type=int, default=48, help="of one attention map")
    parser.add_argument(
        "--reducing", action="store_true", help="only strides, pooled attention and 1x1 kernels"
    )
    asked = parser.parse_args()
    seed = int(time.time()) if asked.seed is None else asked.seed
    rows = []
    for row in comparisons(asked.cases, seed, asked.most_mib << 20, reducing=asked.reducing):
        rows.append(row)
        print(f"\r{len(rows)} cases", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(
        f"Seed {seed}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}\n"
    )
    print(table(rows, lambda case: case.attention, "form"), end="\n\n")
    print(table(rows, lambda case: f"{case.mode}, {case.precision}", "mode, precision"), end="\n\n")
    print(worst(rows))


if __name__ == "__main__":
    main()
