"""The attention forms on a CPU: alone, in a whole layer and in a network, as ratios within one run.

Three Markdown tables to stdout: the attention alone; forward and backward of a whole augmented
convolution beside the 3x3 convolution it replaces; a training step of AA-WRN-28-10 beside plain
WRN-28-10. How time and memory are taken: ``benchmarks/interleaved.py``.

Run with ``python -m benchmarks.attention``. Forms are names of the catalogue or
``package.module:function``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from aabench.measuring.environment import describe_environment
from aabench.networks.building import build_network
from benchmarks.attention_steps import (
    BOTH,
    FORWARD,
    PLAIN,
    Size,
    attention_steps,
    layer_steps,
    training_steps,
)
from benchmarks.interleaved import Step, compare, table_head, table_rows

FORMS = ("materialized", "broadcast", "sdpa-bias", "factored", "blocked")
LAYER_FORMS = ("materialized", "sdpa-bias", "blocked")
NETWORK_FORMS = ("materialized", "blocked")
PARTS = ("attention", "layer", "network")

SIZES = {
    "14": Size(8, 8, 14, 20, 2),
    "28": Size(8, 8, 28, 20, 2),
    "32": Size(8, 8, 32, 20, 2),
    "64": Size(1, 8, 64, 20, 8),
}
LAYER_SIZES = ("14", "32")
LAYER_CHANNELS = 160

NETWORKS = ("aa-wrn28-10", "wrn28-10", 8, 32)
"""The augmented and the plain network, batch and resolution."""

QUICK_NETWORKS = (
    "aabench.networks.resnet:aa_debug_resnet",
    "aabench.networks.resnet:debug_resnet",
    2,
    32,
)

Subject = tuple[str, Callable[[], Mapping[str, Step]]]
"""What is compared, in words, and how to build its steps: one subject at a time is in memory."""


def attention_subjects(options: argparse.Namespace) -> Iterator[Subject]:
    """The attention alone: every size, forward and both passes."""
    forms = labelled(options.forms)
    for name in options.sizes.split(","):
        for which in (FORWARD, BOTH):
            build = partial(
                attention_steps, forms, SIZES[name], which, dtype_of(options), options.seed
            )
            yield f"{SIZES[name]}, {which}", build


def layer_subjects(options: argparse.Namespace) -> Iterator[Subject]:
    """A whole layer, both passes."""
    for name in options.layer_sizes.split(","):
        build = partial(
            layer_steps,
            labelled(options.layer_forms),
            SIZES[name],
            LAYER_CHANNELS,
            dtype_of(options),
            options.seed,
        )
        yield f"{LAYER_CHANNELS}→{LAYER_CHANNELS} {SIZES[name]}, {BOTH}", build


def network_subjects(options: argparse.Namespace) -> Iterator[Subject]:
    """A training step of a network, in single precision."""
    augmented, plain, batch, side = QUICK_NETWORKS if options.quick else NETWORKS
    networks: dict[str, Callable[[], nn.Module]] = {
        label: partial(build_network, augmented, resolution=side, attention=name)
        for label, name in labelled(options.network_forms).items()
    }
    networks[PLAIN] = partial(build_network, plain)
    label = augmented.rpartition(":")[2]
    yield (
        f"{label} B{batch} {side}x{side}, train",
        partial(training_steps, networks, batch, side, options.seed),
    )


SUBJECTS = dict(zip(PARTS, (attention_subjects, layer_subjects, network_subjects), strict=True))


def labelled(forms: str) -> dict[str, str]:
    """Forms by a short label."""
    return {name.split(":")[0].split(".")[-1]: name for name in forms.split(",")}


def dtype_of(options: argparse.Namespace) -> torch.dtype:
    """The data type that was asked for."""
    dtype = getattr(torch, options.dtype)
    assert isinstance(dtype, torch.dtype)
    return dtype


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n", maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--forms", default=",".join(FORMS), help="the first is the baseline")
    parser.add_argument("--sizes", default=",".join(SIZES), help=f"of {', '.join(SIZES)}")
    parser.add_argument("--layer-forms", default=",".join(LAYER_FORMS), help="as --forms")
    parser.add_argument("--layer-sizes", default=",".join(LAYER_SIZES), help="as --sizes")
    parser.add_argument("--network-forms", default=",".join(NETWORK_FORMS), help="as --forms")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", default="float32", help="of the attention and the layer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick", action="store_true", help="14x14, a tiny network, 2 rounds: whether it works"
    )
    options = parser.parse_args(words)
    if options.quick:
        options.sizes = options.layer_sizes = "14"
        options.rounds = 2
    return options


def main() -> None:
    """Print the tables, subject by subject."""
    options = arguments()
    torch.set_num_threads(options.threads)
    machine = describe_environment()
    print(
        f"{machine['cpu']}, {options.threads} threads, load {machine['load_1_min']}, "
        f"torch {machine['torch']}, {options.dtype}, {options.rounds} rounds; "
        "median (lowest–highest)"
    )
    for part in options.parts.split(","):
        forms = options.forms if part == "attention" else getattr(options, f"{part}_forms")
        references = [next(iter(labelled(forms)))] + ([] if part == "attention" else [PLAIN])
        print(f"\n{table_head(part, references)}")
        for subject, build in SUBJECTS[part](options):
            print(f"{subject} …", file=sys.stderr)
            for row in table_rows(subject, compare(build(), options.rounds), references):
                print(row, flush=True)


if __name__ == "__main__":
    main()
