"""The forms of the attention alone on a CPU: time and memory as ratios to the first form.

One interleaved run: in each round every form is timed once, one after the other, so that whatever
else the machine does meanwhile meets all of them; ratios are taken within a round. Peak memory is
what a step allocates at most on top of its inputs, from the events of torch's own allocator.

Run with ``python -m benchmarks.attention`` or ``python benchmarks/attention.py``; prints a Markdown
table to stdout. Forms are names of the catalogue or ``package.module:function``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aabench.cases.catalogue import ATTENTIONS
from aabench.errors import UnsupportedCase
from aabench.layers.attention_inputs import AttentionInputs
from aabench.measuring.allocation_trace import level_of
from aabench.measuring.cpu_memory import allocation_events
from aabench.measuring.environment import describe_environment

FORMS = ("materialized", "broadcast", "sdpa-bias", "factored", "blocked")
PASSES = ("forward", "forward+backward")
SAMPLE_SECONDS = 0.1

Form = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Size:
    """What the attention is of.

    Attributes:
        batch: B.
        heads: Nh.
        side: H = W.
        key_depth: dk/Nh.
        value_depth: dv/Nh.
    """

    batch: int
    heads: int
    side: int
    key_depth: int
    value_depth: int

    def __str__(self) -> str:
        return (
            f"{self.side}x{self.side} B{self.batch} Nh{self.heads} "
            f"dk/Nh {self.key_depth} dv/Nh {self.value_depth}"
        )


SIZES = {
    "14": Size(8, 8, 14, 20, 2),
    "28": Size(8, 8, 28, 20, 2),
    "32": Size(8, 8, 32, 20, 2),
    "64": Size(1, 8, 64, 20, 8),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What one form took in one pass at one size.

    Attributes:
        seconds: of a step, one per round; empty if the form cannot run the case.
        ratios: the same over the first form's in that round.
        peak_bytes: at most allocated at once on top of the inputs.
        reason: why it cannot run.
    """

    seconds: Sequence[float]
    ratios: Sequence[float]
    peak_bytes: int
    reason: str = ""


def random_attention(size: Size, dtype: torch.dtype, seed: int) -> tuple[AttentionInputs, Tensor]:
    """Inputs as the layer makes them, all needing gradients, and a gradient of the output.

    q, k and v are transposed views of one projection with its channels first.
    """
    generator = torch.Generator().manual_seed(seed)
    heads, keys, values, pixels = size.heads, size.key_depth, size.value_depth, size.side**2

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    kqv = normal(size.batch, heads * (2 * keys + values), pixels).to(dtype)
    k, q, v = (
        part.unflatten(1, (heads, -1)).mT.detach()
        for part in kqv.split([heads * keys, heads * keys, heads * values], dim=1)
    )
    # A projection of normalised activations, already scaled: of size 1 over the keys' norm.
    q = q.mul_(keys**-0.5)
    tables = (
        normal(2 * size.side - 1, keys).mul_(keys**-0.5).to(dtype),
        normal(2 * size.side - 1, keys).mul_(keys**-0.5).to(dtype),
    )
    for tensor in (q, k, v, *tables):
        tensor.requires_grad_()
    start = normal(size.batch, heads, values, pixels).to(dtype).mT
    return AttentionInputs(q, k, v, tables, (size.side, size.side)), start


def step_of(attend: Form, inputs: AttentionInputs, start: Tensor, which: str) -> Callable[[], None]:
    """One step: the forward pass in inference mode, or both passes."""
    leaves = [*inputs[:3], *(inputs.tables or ())]

    def forward() -> None:
        with torch.inference_mode():
            attend(*inputs)

    def both() -> None:
        torch.autograd.grad(attend(*inputs), leaves, start)

    return forward if which == "forward" else both


def seconds_of(step: Callable[[], None], repeats: int = 1) -> float:
    """Seconds that a step takes, the mean of some in a row."""
    begin = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - begin) / repeats


def compare(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, Result]:
    """Time and memory of each step; memory in a pass of its own."""
    results, repeats, peaks = {}, {}, {}
    for name, step in steps.items():
        try:
            step()
        except UnsupportedCase as refusal:
            results[name] = Result([], [], 0, refusal.reason)
            continue
        repeats[name] = max(1, round(SAMPLE_SECONDS / seconds_of(step)))
        peaks[name] = level_of(allocation_events(step)).peak_bytes
    seconds: dict[str, list[float]] = {name: [] for name in repeats}
    for _ in range(rounds):
        for name, repeat in repeats.items():
            seconds[name].append(seconds_of(steps[name], repeat))
    first = seconds[next(iter(seconds))]
    for name, taken in seconds.items():
        ratios = [mine / reference for mine, reference in zip(taken, first, strict=True)]
        results[name] = Result(taken, ratios, peaks[name])
    return results


def table_rows(size: Size, which: str, results: dict[str, Result]) -> Iterator[str]:
    """The rows of the Markdown table."""
    first = next(result for result in results.values() if result.seconds)
    for name, result in results.items():
        cells = [str(size), which, name]
        if result.seconds:
            cells += [
                spread([1e3 * seconds for seconds in result.seconds], 1),
                spread(result.ratios, 3),
                f"{result.peak_bytes / 2**20:.1f}",
                f"{first.peak_bytes / result.peak_bytes:.1f}",
            ]
        else:
            cells += [f"unsupported: {result.reason}", "", "", ""]
        yield f"| {' | '.join(cells)} |"


def spread(values: Sequence[float], digits: int) -> str:
    """Median and range."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n", maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--forms", default=",".join(FORMS), help="the first is the baseline")
    parser.add_argument("--sizes", default=",".join(SIZES), help=f"of {', '.join(SIZES)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", default="float32", help="of q, k, v and the tables")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(words)


def main() -> None:
    """Print the table, size by size."""
    options = arguments()
    torch.set_num_threads(options.threads)
    forms = {name.split(":")[0].split(".")[-1]: name for name in options.forms.split(",")}
    attends = {label: ATTENTIONS.load(name) for label, name in forms.items()}
    machine = describe_environment()
    print(
        f"{machine['cpu']}, {options.threads} threads, load {machine['load_1_min']}, "
        f"torch {machine['torch']}, {options.dtype}, {options.rounds} rounds; "
        "median (lowest–highest)\n"
    )
    print(
        f"| size | pass | form | ms a step | time / {next(iter(forms))} | peak MiB | times less |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in options.sizes.split(","):
        size = SIZES[name]
        inputs, start = random_attention(size, getattr(torch, options.dtype), options.seed)
        for which in PASSES:
            steps = {
                label: step_of(attend, inputs, start, which) for label, attend in attends.items()
            }
            print(f"{size}, {which} …", file=sys.stderr)
            for row in table_rows(size, which, compare(steps, options.rounds)):
                print(row, flush=True)


if __name__ == "__main__":
    main()
