"""Traced peaks against the events of torch's CPU allocator on real steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from traced_models import (
    Attentive,
    Pyramid,
    debug_network,
    known_copies,
    known_half_precision,
    measured,
)

from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.trace import trace_step
from aabench.cost.traced.traced_step import TracedStep

FORMS = ("materialized", "broadcast", "sdpa-bias", "factored", "blocked")
TOLERANCE = 0.03

pytestmark = known_copies


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    """Steps this small lose their time to threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(model: nn.Module, shape: tuple[int, int, int, int], **settings: Any) -> TracedStep:
    asked = StepSettings(threads=torch.get_num_threads(), **settings)
    if not known_half_precision(asked.precision):
        pytest.skip("the scratch of half-precision kernels is known for AVX-512 without AMX")
    traced = trace_step(model, shape, asked)
    real = measured(model, shape, asked)
    assert traced.base_bytes == real.base_bytes
    assert traced.peak_bytes == pytest.approx(real.peak_allocated_bytes, rel=TOLERANCE)
    assert traced.step_peak_bytes == pytest.approx(real.step_peak_bytes, rel=TOLERANCE)
    return traced


@pytest.mark.parametrize("mode", ["infer", "forward-backward", "train"])
@pytest.mark.parametrize("form", FORMS)
def test_attention_is_the_peak(form: str, mode: str) -> None:
    traced = check(Attentive(form), (3, 3, 18, 18), mode=mode)
    has_map = form in {"materialized", "broadcast", "sdpa-bias"}
    assert ("attention maps" in traced.at_peak) == has_map


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_take_scratch_of_their_own(threads: int) -> None:
    torch.set_num_threads(threads)
    check(Attentive("factored"), (2, 3, 18, 18), mode="infer")


@pytest.mark.parametrize("form", FORMS)
def test_one_image_and_one_head(form: str) -> None:
    check(Attentive(form, heads=1), (1, 3, 18, 18), mode="train")


@pytest.mark.parametrize(
    ("precision", "form"),
    [
        ("bf16", "materialized"),
        ("bf16", "factored"),
        ("amp-bf16", "materialized"),
        ("amp-bf16", "blocked"),
        ("fp16", "blocked"),
        ("amp-fp16", "blocked"),
    ],
)
def test_reduced_precision(form: str, precision: str) -> None:
    check(Attentive(form), (3, 3, 18, 18), mode="train", precision=precision)


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16", "bf16"])
def test_inference_in_each_precision(precision: str) -> None:
    check(debug_network(), (4, 3, 32, 32), precision=precision)


@pytest.mark.parametrize("form", ["materialized", "factored", "blocked"])
def test_channels_last(form: str) -> None:
    check(Attentive(form), (2, 3, 18, 18), mode="train", memory_format="channels-last")


@pytest.mark.parametrize("optimizer", ["sgd", "sgd-momentum", "adam", "adamw"])
def test_optimizers(optimizer: str) -> None:
    traced = check(debug_network(), (4, 3, 32, 32), mode="train", optimizer=optimizer)
    states = {"sgd": 0, "sgd-momentum": 1}.get(optimizer, 2)
    state = traced.at_peak.get("optimizer state", 0)
    assert state // traced.parameter_bytes == states


def test_the_update_can_be_the_peak() -> None:
    """One large weight and one image: Adam's temporary tensors come after all activations went."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2000), nn.ReLU(), nn.Linear(2000, 10))
    traced = check(model, (2, 3, 8, 8), mode="train", optimizer="adam")
    assert traced.optimizer_peak
    assert traced.phase_peaks["optimizer"] == traced.peak_bytes > traced.phase_peaks["backward"]


@pytest.mark.parametrize(
    ("precision", "form"),
    [("fp32", "materialized"), ("fp32", "blocked"), ("amp-bf16", "factored")],
)
def test_checkpointing(form: str, precision: str) -> None:
    settings: dict[str, Any] = {"mode": "train", "precision": precision}
    without = trace_step(Attentive(form), (3, 3, 18, 18), StepSettings(**settings))
    traced = check(Attentive(form), (3, 3, 18, 18), checkpointed=("first", "second"), **settings)
    assert traced.saved_bytes < without.saved_bytes / 2
    assert traced.macs > without.macs
    assert traced.macs_forward == without.macs_forward


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_several_outputs_and_a_shared_head(mode: str) -> None:
    traced = check(Pyramid(), (2, 3, 20, 20), mode=mode)
    assert "target" not in traced.at_peak
    (head,) = (module for module in traced.modules if module.name == "head")
    assert head.calls == 2


@pytest.mark.parametrize("position", ["none", "relative"])
def test_positions(position: str) -> None:
    check(Attentive("blocked", position), (2, 3, 18, 18), mode="train")
