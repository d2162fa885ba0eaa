"""What cannot be traced: each says where, why, and what to do instead."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from traced_models import Attentive, debug_network

from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.trace import trace_step
from aabench.errors import UnknownName, UsageError


class Deciding(nn.Module):
    """Looks at the values of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Selecting(nn.Module):
    """Returns as many numbers as are positive."""

    def forward(self, x: Tensor) -> Tensor:
        return x[x > 0]


class Failing(nn.Module):
    """Raises something of its own."""

    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("no such thing")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Deciding(), "the operation aten._local_scalar_dense.default depends on the values"),
        (Selecting(), "the operation aten.nonzero.default depends on the values"),
        (Failing(), "KeyError: 'no such thing'"),
    ],
)
def test_the_module_and_the_operation_are_named(module: nn.Module, said: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), module))
    with pytest.raises(UsageError) as caught:
        trace_step(model, (2, 3, 8, 8), StepSettings(mode="train"))
    message = str(caught.value)
    assert f"in 1.1 ({type(module).__name__})" in message
    assert said in message
    assert "measure it instead" in message


def test_an_input_that_the_model_does_not_take() -> None:
    with pytest.raises(UsageError, match=r"in conv1 \(Conv2d\).*2x4x32x32"):
        trace_step(debug_network(), (2, 4, 32, 32))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("size", [0, -3, 2.0, True])
def test_sizes_are_whole_numbers_from_1_on(place: int, size: int) -> None:
    shape = [2, 3, 32, 32]
    shape[place] = size
    with pytest.raises(UsageError, match="must be a whole number of at least 1"):
        trace_step(debug_network(), tuple(shape))


def test_no_batch_of_images() -> None:
    with pytest.raises(UsageError, match="B, C, H, W"):
        trace_step(debug_network(), (3, 32, 32))  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [2**62, 2**55, 2**50])
def test_sizes_beyond_64_bits(batch: int) -> None:
    with pytest.raises(UsageError, match="64 bits"):
        trace_step(Attentive("materialized"), (batch, 3, 18, 18), StepSettings(mode="train"))


def test_a_pattern_that_matches_nothing() -> None:
    with pytest.raises(UsageError, match="no module to checkpoint matches.*layer9"):
        trace_step(
            debug_network(), (2, 3, 32, 32), StepSettings("train", checkpointed=("layer9*",))
        )


def test_a_model_without_parameters_cannot_be_trained() -> None:
    with pytest.raises(UsageError, match="optimizer got an empty parameter list"):
        trace_step(nn.Flatten(), (2, 3, 4, 4), StepSettings(mode="train"))


def test_an_output_without_gradient_cannot_be_trained() -> None:
    model = nn.Conv2d(3, 4, 1).requires_grad_(False)
    with pytest.raises(UsageError, match="no tensor with a gradient"):
        trace_step(model, (2, 3, 4, 4), StepSettings(mode="forward-backward"))


def test_a_model_that_cannot_be_copied() -> None:
    model = nn.Conv2d(3, 4, 1)
    model.lines = (line for line in "ab")  # type: ignore[assignment]
    with pytest.raises(UsageError, match="cannot be copied"):
        trace_step(model, (2, 3, 4, 4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "trian"},
        {"precision": "fp8"},
        {"memory_format": "nchw"},
        {"mode": "train", "optimizer": "lion"},
    ],
)
def test_unknown_names(wrong: dict[str, str]) -> None:
    with pytest.raises(UnknownName):
        StepSettings(**wrong)  # type: ignore[arg-type]


def test_granularity_and_threads_are_at_least_1() -> None:
    for wrong in ({"granularity": 0}, {"threads": 0}):
        with pytest.raises(UsageError, match="at least 1"):
            StepSettings(**wrong)


def test_a_failed_trace_leaves_no_mode_behind() -> None:
    with pytest.raises(UsageError):
        trace_step(Deciding(), (2, 3, 4, 4))
    assert type(torch.empty(1)) is Tensor
