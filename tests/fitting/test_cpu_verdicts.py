"""Verdicts on this CPU against the allocator's own peaks, over random budgets."""

import numpy as np
import pytest
import torch
from small_models import INPUT_SIZE, OPTIONS, Small

from aabench.cost.target import Target
from aabench.cost.traced.network_step import NetworkStep
from aabench.cost.traced.step_settings import StepSettings
from aabench.fitting.budget import Budget
from aabench.fitting.predictor import Predictor
from aabench.fitting.source import GivenModel
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement, Verdict
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.networks.augmenting import augment

BUDGETS = 200


@pytest.mark.parametrize("form", ["materialized", "blocked"])
@pytest.mark.parametrize("mode", ["train", "infer"])
def test_no_verdict_is_wrong(form, mode):
    settings, batch = StepSettings(mode=mode), 4
    source = GivenModel(Small(), "*.conv", INPUT_SIZE, OPTIONS)
    need = Predictor(Target("cpu")).need(Subject(source, form, batch, settings))

    model = augment(Small(), "*.conv", input_size=INPUT_SIZE, attention=form, **OPTIONS)
    step = NetworkStep(model, torch.randn(batch, *INPUT_SIZE), settings)
    peak = measure_cpu_memory(step, step.base_tensors).peak_allocated_bytes

    factors = 2.0 ** np.random.default_rng(7).uniform(-3, 3, BUDGETS)
    close = 0
    for budget in (peak * factors).astype(int):
        verdict = Judgement(need, Budget.of(int(budget))).verdict
        close += verdict is Verdict.TOO_CLOSE
        if verdict is Verdict.FITS:
            assert peak <= budget
        if verdict is Verdict.DOES_NOT_FIT:
            assert peak > budget
    # The band of an uncalibrated CPU spans a factor of 1.4 of the 64 that budgets are drawn from.
    assert close <= 0.15 * BUDGETS
