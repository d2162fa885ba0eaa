"""``aabench fit``: its verdicts against real peaks, the cases of its issue, and what it costs itself.

Verdicts on this CPU are taken before and after calibration: networks are run once each for the peak of
torch's own allocator. Some of them calibrate the band; the others are judged against budgets drawn
log-uniformly from 1/8 to 8 times their real peak. A ``fits`` below the peak and a ``does not fit`` above
it are wrong. All other tables are predictions for cards: nothing is run for them.

Run with ``python -m benchmarks.fitting [--budgets N] [--parts NAMES]``; prints Markdown tables.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch

import aabench
from aabench.cases.network import Network
from aabench.cases.network_catalogue import NETWORKS
from aabench.cost.bands import Bands
from aabench.cost.residuals import UNCALIBRATED_STEP, Residuals
from aabench.cost.target import Target
from aabench.cost.traced.network_step import NetworkStep
from aabench.cost.traced.step_settings import StepSettings
from aabench.fitting.budget import Budget
from aabench.fitting.predictor import Predictor
from aabench.fitting.source import NamedNetwork
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement, Verdict
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.networks.case_network import build_case_network

FORMS = ("materialized", "broadcast", "sdpa-bias", "factored", "blocked")
NETWORK = "aa-debug-resnet"
SEED = 0

ALL_FORMS = (*FORMS, "flex", "triton")

BATCH_CARDS = ("v100-16gb", "rtx4090-24gb", "a100-40gb", "a100-80gb")

REPLICATED: dict[str, dict[str, Any]] = {
    "replication-resnet34 with every group augmented": {
        "augment": "layer?.*.conv1",
        "kappa": "0.25",
        "upsilon": "0.25",
        "heads": 8,
    },
    "aa-wrn28-10": {},
}
REPLICATED_BATCHES = (32, 128, 512)

EARLY_STAGES = (
    "layer1.*.conv2",
    "layer[1234].*.conv2",
)
EARLY_RULE = {"kappa": "0.25", "upsilon": "0.25", "heads": 8}
"""The stage at 56 of 224 px is ``layer1``; upsilon = 0.1 leaves none of its 64 channels a value a head."""
EARLY_BATCHES = (8, 32)

TIMED_BATCH, TIMED_CARD = 128, "v100-16gb"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """A network that was run.

    Attributes:
        subject: what ran.
        base_bytes: alive before the step.
        peak_bytes: of the allocator.
    """

    subject: Subject
    base_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Score:
    """How verdicts fell.

    Attributes:
        verdicts: given.
        wrong_fits: below the real peak.
        wrong_misfits: above it.
        close: too close to tell.
    """

    verdicts: int
    wrong_fits: int
    wrong_misfits: int
    close: int


def subjects(batches: Sequence[int], sides: Sequence[int]) -> Iterator[Subject]:
    """A training step by each form, batch and resolution."""
    for form in FORMS:
        for batch in batches:
            for side in sides:
                network = Network(NETWORK, 3, side, side, heads=4, upsilon="0.5")
                yield Subject(NamedNetwork(network), form, batch, StepSettings(mode="train"))


def measured(subject: Subject) -> Measured:
    """Run a subject once for its peak."""
    torch.manual_seed(SEED)
    source = subject.source
    assert isinstance(source, NamedNetwork)
    model = build_case_network(source.network, subject.attention)
    step = NetworkStep(model, torch.randn(subject.batch, *source.input_size), subject.settings)
    found = measure_cpu_memory(step, step.base_tensors)
    return Measured(subject, found.base_bytes, found.peak_allocated_bytes)


def calibrated(cases: Sequence[Measured]) -> Bands:
    """Bands from how some measured steps fell beside their predictions."""
    predictor = Predictor(Target("cpu"))
    ratios = tuple(
        (each.peak_bytes - each.base_bytes) / predictor.step(each.subject).step_peak_bytes
        for each in cases
    )
    residuals = Residuals({(None, "train", "fp32"): ratios}, {}, UNCALIBRATED_STEP)
    return Bands("cpu", None, None, residuals)


def score(cases: Sequence[Measured], bands: Bands, budgets: int) -> Score:
    """Judge every case against random budgets."""
    random = np.random.default_rng(SEED)
    predictor = Predictor(Target("cpu"), bands)
    wrong_fits = wrong_misfits = close = 0
    for each in cases:
        need = predictor.need(each.subject)
        for factor in 2.0 ** random.uniform(-3, 3, budgets):
            budget = int(each.peak_bytes * factor)
            verdict = Judgement(need, Budget.of(budget)).verdict
            wrong_fits += verdict is Verdict.FITS and each.peak_bytes > budget
            wrong_misfits += verdict is Verdict.DOES_NOT_FIT and each.peak_bytes <= budget
            close += verdict is Verdict.TOO_CLOSE
    return Score(len(cases) * budgets, wrong_fits, wrong_misfits, close)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--budgets", type=int, default=200, help="for each network")
    parser.add_argument("--parts", default=",".join(PARTS), help="which tables, by name")
    asked = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    for name in asked.parts.split(","):
        title, heads, rows = PARTS[name]
        print(f"## {title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for row in rows(asked.budgets):
            print(f"| {' | '.join(map(str, row))} |", flush=True)
        print()


def budget_rows(budgets: int) -> Iterator[Row]:
    """Verdicts on this CPU against random budgets, by band."""
    calibrating = [measured(each) for each in subjects((2, 3, 5, 8), (48, 80))]
    judged = [measured(each) for each in subjects((4, 7), (64, 96))]
    for name, bands in (
        ("uncalibrated", Bands("cpu", None, None, Residuals({}, {}, UNCALIBRATED_STEP))),
        (f"calibrated by {len(calibrating)} other cases", calibrated(calibrating)),
    ):
        got = score(judged, bands, budgets)
        close = f"{got.close / got.verdicts:.1%}"
        yield name, len(judged), got.verdicts, got.wrong_fits, got.wrong_misfits, close


def time_rows(_budgets: int) -> Iterator[Row]:
    """Processor seconds of a whole verdict, imports apart, of every listed network with attention."""
    aabench.fit("aa-debug-resnet", budget="1GiB", device="cpu")  # imports what all of them need
    for entry in NETWORKS:
        if NETWORKS.entry(entry.name).plain is None or "debug" in entry.name:
            continue
        begin = time.process_time()
        found = aabench.fit(entry.name, batch=TIMED_BATCH, mode="train", gpu=TIMED_CARD)
        seconds = time.process_time() - begin
        yield entry.name, found.verdict.value, len(found.remedies), f"{seconds:.1f}"


def batch_rows(_budgets: int) -> Iterator[Row]:
    """The largest training batch of the papers' large networks, by card and form."""
    for network, gpu in product(("aa-resnet50", "aa-resnet152"), BATCH_CARDS):
        yield network, gpu, *largest(network, gpu, "batch")
    yield (
        "aa-retinanet-resnet50",
        BATCH_CARDS[0],
        *largest("aa-retinanet-resnet50", BATCH_CARDS[0], "batch"),
    )


def group_rows(_budgets: int) -> Iterator[Row]:
    """Which groups of the replication's networks fit its card, from the last one backwards."""
    for (name, changes), batch in product(REPLICATED.items(), REPLICATED_BATCHES):
        cells = []
        for form in FORMS:
            found = aabench.fit(
                name.split()[0],
                attention=form,
                batch=batch,
                mode="train",
                gpu="p100-16gb",
                **changes,
            )
            stages = found.stages_frame
            fitting = stages["layer"][stages["with_deeper"] == "fits"]
            cells.append(f"{len(fitting)} of {len(stages)}")
        yield name, batch, *cells


def resolution_rows(_budgets: int) -> Iterator[Row]:
    """The largest image at which the stage that the papers left out can be augmented too."""
    for augment, batch in product(EARLY_STAGES, EARLY_BATCHES):
        changes = {**EARLY_RULE, "augment": augment}
        yield augment, batch, *largest("resnet50", BATCH_CARDS[0], "resolution", batch, **changes)


def largest(network: str, gpu: str, axis: str, batch: int = 32, **changes: Any) -> list[str]:
    """The largest value of a setting that fits a card, by form."""
    found = aabench.fit(network, batch=batch, mode="train", gpu=gpu, maximize=axis, **changes)
    values = {each.attention: each.best.value if each.best else "none" for each in found.maxima}
    return [values.get(form, "") for form in ALL_FORMS]


PARTS: dict[str, tuple[str, tuple[str, ...], Callable[[int], Iterator[Row]]]] = {
    "budgets": (
        "Verdicts on this CPU against real peaks, budgets from 1/8 to 8 times the peak",
        ("band", "networks", "verdicts", "wrong fits", "wrong does not fit", "too close to tell"),
        budget_rows,
    ),
    "batches": (
        "Largest batch that fits, training, fp32, 224 px (AA-RetinaNet 640 px); predicted, never "
        "checked on a card",
        ("network", "card", *ALL_FORMS),
        batch_rows,
    ),
    "groups": (
        "Groups that could have been augmented on the replication's P100, from the last one "
        "backwards; training, fp32, 32 px; predicted, never checked on a card",
        ("network", "batch", *FORMS),
        group_rows,
    ),
    "resolutions": (
        f"Largest image for ResNet-50 with more stages augmented, training, fp32, {BATCH_CARDS[0]}; "
        "predicted, never checked on a card",
        ("augmented", "batch", *ALL_FORMS),
        resolution_rows,
    ),
    "time": (
        f"Processor seconds of a verdict: batch {TIMED_BATCH}, training, {TIMED_CARD}",
        ("network", "verdict", "remedies", "seconds"),
        time_rows,
    ),
}
"""The tables by name: title, heads, rows."""


if __name__ == "__main__":
    main()
