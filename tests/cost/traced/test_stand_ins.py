"""Traces on stand-ins against the same traces on torch's own fake tensors: block by block the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from traced_models import Attentive, Pyramid, debug_network

from aabench.cost.traced import stand_ins, trace
from aabench.cost.traced.stand_ins import StandInMode
from aabench.cost.traced.step_record import StepRecord
from aabench.cost.traced.step_settings import StepSettings
from aabench.errors import UsageError
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
        dtypes = [(whole * factor).dtype for factor in (True, 1, 1.0, 1 + 0j)]
    assert dtypes == [torch.bool, torch.int64, torch.float32, torch.complex64]


def test_the_default_data_type_is_part_of_a_question() -> None:
    with StandInMode():
        whole = torch.arange(6)
        assert (whole / 3).dtype == torch.float32
        torch.set_default_dtype(torch.float64)
        try:
            assert (whole / 3).dtype == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)


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
        with pytest.raises(RuntimeError, match="_local_scalar_dense"):
            large.sum().item()
    assert large.device.type == "cpu"
    assert large.untyped_storage().nbytes() == 1 << 41


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.apply_(abs),
        lambda x: x.map_(x, max),
        np.from_dlpack,
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: bool(x[0] > 0),
    ],
    ids=["apply_", "map_", "dlpack", "numpy", "tolist", "bool"],
)
def test_nobody_looks_at_data_that_is_not_there(look: Any) -> None:
    with StandInMode():
        x = torch.empty(3)
        with pytest.raises(RuntimeError):
            look(x)


def test_a_stand_in_that_outlives_its_trace_is_refused() -> None:
    with StandInMode():
        x = torch.empty(3)
    with pytest.raises(RuntimeError, match="made while a step was traced"):
        x + torch.ones(3)


def test_operations_that_may_copy_come_in_parts() -> None:
    with torch.inference_mode(), StandInMode():
        x = torch.empty(2, 3)
        copied, same = x.t().contiguous(), x.contiguous()
        flat = x.t().reshape(6)
    assert storage_of(copied) != storage_of(x) == storage_of(same)
    assert storage_of(flat) != storage_of(x)
    assert copied.stride() == (2, 1)


def test_a_stand_in_s_metadata_change_in_place() -> None:
    with StandInMode():
        x = torch.empty(2, 3)
        y = x.t_()
    assert y is x
    assert (tuple(x.shape), x.stride()) == ((3, 2), (1, 3))


def test_a_change_of_the_wrong_size_is_refused() -> None:
    with StandInMode(), pytest.raises(RuntimeError, match="broadcast"):
        torch.empty(2, 3).add_(torch.empty(2, 2))


class Compiled(nn.Module):
    """A network with a compiled part, and one with a question about its numbers."""

    def __init__(self, *, asks: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.part = torch.compile(nn.Sequential(nn.ReLU(), nn.Sigmoid()))
        self.asks = asks

    def forward(self, x: Tensor) -> Tensor:
        y = self.part(self.convolution(x))
        return y * y.sum().item() if self.asks else y


def test_compiled_parts_are_traced_as_they_are_uncompiled() -> None:
    settings = StepSettings(mode="train")
    assert_same(*on_both(Compiled(asks=False), SHAPE, settings))
    with pytest.raises(UsageError, match="depends on the values"):
        trace.record_step(Compiled(asks=True), SHAPE, settings)


def test_traces_in_threads_are_those_of_one_after_the_other() -> None:
    models = [debug_network(form) for form in ("materialized", "factored", "blocked")] * 2
    settings = StepSettings(mode="train")
    alone = [trace.record_step(model, SHAPE, settings) for model in models]
    stand_ins._answers.clear()
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda model: trace.record_step(model, SHAPE, settings), models)
        for one, other in zip(alone, found, strict=True):
            assert one.equals(other)
