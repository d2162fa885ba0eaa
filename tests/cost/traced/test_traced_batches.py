"""Steps at many batches: what is derived equals what is traced."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from traced_models import Attentive, debug_network

from aabench.cost.traced.batches import predict_steps
from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.trace import trace_step
from aabench.errors import UsageError
from aabench.networks.building import build_network

BATCHES = (1, 2, 3, 4, 7, 30, 64)


@pytest.mark.parametrize("form", ["materialized", "factored", "blocked"])
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_derived_steps_are_the_traced_ones(form: str, mode: str) -> None:
    asked = StepSettings(mode=mode, optimizer="adam")
    steps = predict_steps(Attentive(form), (3, 18, 18), BATCHES, asked)
    assert list(steps) == list(BATCHES)
    for batch in (1, 7, 30):
        traced = trace_step(Attentive(form), (batch, 3, 18, 18), asked)
        assert replace(steps[batch], basis="traced") == traced
    assert steps[30].basis == "derived from traces of 2 and 4 images"
    assert steps[1].basis == "traced"


def test_the_peak_may_move_to_another_phase() -> None:
    """At few images the update needs most, at many the activations: the peak is no straight line."""
    model = nn.Sequential(nn.Conv2d(3, 256, 3, padding=1), nn.ReLU(), nn.Flatten())
    model.append(nn.LazyLinear(64))
    model(torch.empty(1, 3, 16, 16))
    asked = StepSettings(mode="train", optimizer="adam")
    steps = predict_steps(model, (3, 16, 16), [2, 8, 32, 64, 256], asked)
    assert steps[2].optimizer_peak and not steps[256].optimizer_peak
    assert steps[64].basis.startswith("derived")
    assert replace(steps[64], basis="traced") == trace_step(model, (64, 3, 16, 16), asked)


class Similarity(nn.Module):
    """Compares every image with every other: memory grows with the square of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = self.convolution(x).flatten(1)
        return features @ features.mT


def test_what_grows_unevenly_is_traced_each_time() -> None:
    steps = predict_steps(Similarity(), (3, 18, 18), [2, 5, 9, 33], StepSettings(mode="infer"))
    assert steps[33].peak_bytes > steps[2].peak_bytes
    assert "not grow evenly" in steps[9].basis
    alone = trace_step(Similarity(), (9, 3, 18, 18), StepSettings(mode="infer"))
    assert replace(steps[9], basis="traced") == alone


def test_few_batches_are_all_traced() -> None:
    steps = predict_steps(debug_network(), (3, 32, 32), [4, 1, 4])
    assert [(batch, step.batch, step.basis) for batch, step in steps.items()] == [
        (1, 1, "traced"),
        (4, 4, "traced"),
    ]


@given(
    width=st.integers(1, 40),
    kernel=st.sampled_from((1, 3)),
    stride=st.sampled_from((1, 2)),
    side=st.integers(3, 20),
    batch=st.integers(2, 500),
)
@settings(deadline=None, max_examples=8)
def test_derivation_holds_for_any_small_network(
    width: int, kernel: int, stride: int, side: int, batch: int
) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, width, kernel, stride, kernel // 2), nn.BatchNorm2d(width), nn.ReLU()
    )
    asked = StepSettings(mode="train")
    steps = predict_steps(model, (3, side, side), [2, 3, batch, 501], asked)
    traced = trace_step(model, (batch, 3, side, side), asked)
    assert replace(steps[batch], basis="traced") == replace(traced, basis="traced")


def test_memory_only_grows_with_the_batch() -> None:
    with torch.device("meta"):
        model = build_network("wrn28-10")
    steps = predict_steps(model, (3, 32, 32), [2, 16, 64, 128], StepSettings(mode="train"))
    peaks = [step.peak_bytes for step in steps.values()]
    assert peaks == sorted(peaks)
    assert steps[128].params == steps[2].params
    assert steps[64].macs == 32 * steps[2].macs


@pytest.mark.parametrize("batch", [0, -1])
def test_no_images(batch: int) -> None:
    with pytest.raises(UsageError, match="batch must be a whole number of at least 1"):
        predict_steps(debug_network(), (3, 32, 32), [2, batch])
