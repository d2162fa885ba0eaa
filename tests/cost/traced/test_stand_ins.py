"""Traces on stand-ins against the same traces on torch's own fake tensors: block by block the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from traced_models import Attentive, Pyramid, debug_network

from aabench.cost.traced import trace
from aabench.cost.traced.stand_ins import StandInMode
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
        StepSettings(mode="train", precision="amp-bf16"),
        StepSettings(mode="infer", precision="amp-fp16", **CARD),
    ],
    ids=[
        *("infer", "train", "adam, channels last", "bf16 on a card", "checkpointed"),
        *("autocast", "autocast in inference"),
    ],
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


def test_a_local_attention_is_the_same() -> None:
    """Its changes to views of views are replayed by autograd."""
    with torch.device("meta"):
        model = build_network("sasa-resnet26")
    assert_same(*on_both(model, (2, 3, 64, 64), StepSettings(mode="train")))


class Fused(nn.Module):
    """Attention by torch's own function, which takes another way on each device."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(3, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).flatten(2).mT.chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v).mean(1)


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_what_devices_do_differently_is_done_as_on_the_cpu(mode: str) -> None:
    assert_same(*on_both(Fused(), SHAPE, StepSettings(mode=mode)))


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
    with StandInMode():
        whole = torch.ones(3, dtype=torch.bool)
        dtypes = [(whole * factor).dtype for factor in (True, 1, 1.0)]
    assert dtypes == [torch.bool, torch.int64, torch.float32]


def storage_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def test_views_share_memory_and_results_do_not() -> None:
    with StandInMode():
        x = torch.empty(4, 6)
        views = x.view(6, 4), x[1], x.T, torch.ops.aten._unsafe_view(x, [6, 4])
        parts = torch.unsafe_chunk(x, 2)
        changed = x.add_(1)
        result = x + 1
    assert {storage_of(each) for each in (*views, *parts, changed)} == {storage_of(x)}
    assert changed is x
    assert storage_of(result) != storage_of(x)
    assert (views[1].storage_offset(), views[2].stride()) == (6, (1, 6))
    assert [part.storage_offset() for part in parts] == [0, 12]


def test_a_stand_in_is_a_cpu_tensor_without_memory() -> None:
    with StandInMode():
        large = torch.empty(1 << 20, 1 << 20, dtype=torch.bfloat16)
    assert large.device.type == "cpu"
    assert large.untyped_storage().nbytes() == 1 << 41
    with pytest.raises(RuntimeError, match="_local_scalar_dense"):
        large.sum().item()


def test_a_stand_in_s_metadata_change_in_place() -> None:
    with StandInMode():
        x = torch.empty(2, 3)
        y = x.t_()
    assert y is x
    assert (tuple(x.shape), x.stride()) == ((3, 2), (1, 3))


def test_a_change_of_the_wrong_size_is_refused() -> None:
    with StandInMode(), pytest.raises(RuntimeError, match="broadcast"):
        torch.empty(2, 3).add_(torch.empty(2, 2))
