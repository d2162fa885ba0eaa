"""Verdicts on this CPU against real peaks, before and after calibration, over random budgets.

Networks are run once each for the peak of torch's own allocator. Some of them calibrate the band; the
others are judged against budgets drawn log-uniformly from 1/8 to 8 times their real peak. A ``fits``
below the peak and a ``does not fit`` above it are wrong.

Run with ``python -m benchmarks.fitting [--budgets N]``; prints a Markdown table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aabench.cases.network import Network
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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--budgets", type=int, default=200, help="for each network")
    budgets = parser.parse_args().budgets
    calibrating = [measured(each) for each in subjects((2, 3, 5, 8), (48, 80))]
    judged = [measured(each) for each in subjects((4, 7), (64, 96))]
    print(f"{len(judged)} networks, {budgets} budgets each, torch {torch.__version__}\n")
    print("| band | verdicts | wrong fits | wrong does not fit | too close to tell |")
    print("|---|--:|--:|--:|--:|")
    for name, bands in (
        ("uncalibrated", Bands("cpu", None, None, Residuals({}, {}, UNCALIBRATED_STEP))),
        (f"calibrated by {len(calibrating)} other cases", calibrated(calibrating)),
    ):
        got = score(judged, bands, budgets)
        print(
            f"| {name} | {got.verdicts} | {got.wrong_fits} | {got.wrong_misfits} | "
            f"{got.close / got.verdicts:.1%} |"
        )


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


if __name__ == "__main__":
    main()
