"""Traces on stand-ins against the same traces on torch's own fake tensors: block by block the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from traced_models import Attentive, Pyramid, debug_network

from aabench.cost.traced import stand_ins, trace
from aabench.cost.traced.step_record import StepRecord
from aabench.cost.traced.step_settings import StepSettings
from aabench.networks.building import build_network

SHAPE = (2, 3, 32, 32)
CARD: dict[str, Any] = {"device_type": "cuda", "capability": (8, 0), "granularity": 512}


def assert_same(one: StepRecord, other: StepRecord) -> None:
    assert one.equals(other)
    assert (one.order, one.starts) == (other.order, other.starts)
    assert np.array_equal(one.allocations.born, other.allocations.born)


def on_both(model: nn.Module, shape: Any, settings: StepSettings) -> tuple[StepRecord, StepRecord]:
    quick = trace._on_stand_ins(model, shape, settings)
    assert quick is not None
    return quick, trace._on_fake_tensors(model, shape, settings)


@pytest.mark.parametrize(
    "settings",
    [
        StepSettings(mode="infer"),
        StepSettings(mode="train"),
        StepSettings(mode="train", optimizer="adam", memory_format="channels-last"),
        StepSettings(mode="train", precision="bf16", optimizer="adamw", **CARD),
        StepSettings(mode="train", checkpointed=("layer3.*",), **CARD),
    ],
    ids=["infer", "train", "adam, channels last", "bf16 on a card", "checkpointed"],
)
@pytest.mark.parametrize("form", ["materialized", "sdpa-bias", "factored", "blocked"])
def test_every_block_and_operation_is_the_same(form: str, settings: StepSettings) -> None:
    assert_same(*on_both(debug_network(form), SHAPE, settings))


@pytest.mark.parametrize("name", ["retinanet-resnet50", "aa-mnasnet-0.75", "se-resnet34"])
def test_and_so_it_is_in_larger_networks(name: str) -> None:
    with torch.device("meta"):
        model = build_network(name)
    assert_same(*on_both(model, (2, 3, 64, 64), StepSettings(mode="train")))


@pytest.mark.parametrize("batch", [1, 3])
def test_single_images_and_odd_layouts_are_the_same(batch: int) -> None:
    settings = StepSettings(mode="train", memory_format="channels-last")
    for model in (Attentive("broadcast"), Pyramid()):
        assert_same(*on_both(model, (batch, 3, 18, 18), settings))


def test_a_local_attentions_peak_is_the_same() -> None:
    """A change to a view of a view replays the views of fake tensors; they take no memory."""
    with torch.device("meta"):
        model = build_network("sasa-resnet26")
    quick, slow = on_both(model, (2, 3, 64, 64), StepSettings(mode="train"))
    assert quick.figures().peak_bytes == slow.figures().peak_bytes
    assert quick.figures().at_peak == slow.figures().at_peak


class Fused(nn.Module):
    """Attention by torch's own function, which takes another way on each device."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(3, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).flatten(2).mT.chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v).mean(1)


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_what_devices_do_differently_is_left_to_fake_tensors(mode: str) -> None:
    settings = StepSettings(mode=mode)
    assert trace._on_stand_ins(Fused(), SHAPE, settings) is None
    assert_same(
        trace.record_step(Fused(), SHAPE, settings),
        trace._on_fake_tensors(Fused(), SHAPE, settings),
    )


class Constants(nn.Module):
    """A forward that makes tensors of its own, on no device in particular."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.linspace(0.5, 1.5, 4).view(1, -1, 1, 1)
        return (self.convolution(x) * scale + torch.ones(1)).mean((2, 3))


def test_tensors_made_in_the_forward_are_there_too() -> None:
    assert_same(*on_both(Constants(), SHAPE, StepSettings(mode="train")))


def test_a_number_is_not_the_same_as_another_one_of_another_type() -> None:
    whole = torch.ones(3, dtype=torch.bool, device="meta")
    dtypes = [
        stand_ins.result_of(torch.ops.aten.mul.Tensor, (whole, factor), {}).dtype
        for factor in (True, 1, 1.0)
    ]
    assert dtypes == [torch.bool, torch.int64, torch.float32]


def test_views_share_memory_and_results_do_not() -> None:
    x = torch.empty(4, 6, device="meta")
    view = stand_ins.result_of(torch.ops.aten.view.default, (x, [6, 4]), {})
    changed = stand_ins.result_of(torch.ops.aten.add_.Tensor, (x, 1), {})
    result = stand_ins.result_of(torch.ops.aten.add.Tensor, (x, 1), {})
    storages = [each.untyped_storage()._cdata for each in (x, view, changed, result)]
    assert storages[0] == storages[1] == storages[2] != storages[3]
