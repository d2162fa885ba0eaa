"""Building without filling: the same modules, whose numbers nobody wrote."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aabench.modules.unfilled import UnfilledMode


class Filled(nn.Module):
    """A module that fills its tensors in every way that models do."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 2)
        self.table = nn.Parameter(torch.randn(5, 2) * 0.5)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out")
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.constant_(self.norm.weight, 0.0)
        self.linear.bias.data.zero_().fill_(3.0)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_shapes_types_and_names_are_those_of_a_filled_model(device: str) -> None:
    with torch.device(device):
        filled = Filled()
        with UnfilledMode():
            unfilled = Filled()
    ours = {name: (each.shape, each.dtype) for name, each in unfilled.state_dict().items()}
    assert ours == {name: (each.shape, each.dtype) for name, each in filled.state_dict().items()}


def test_a_tensor_with_memory_is_filled_since_somebody_may_look_at_it() -> None:
    with UnfilledMode():
        assert torch.empty(1).fill_(3).item() == 3
        assert nn.init.constant_(torch.empty(1), 7.0).item() == 7.0


def test_one_without_is_left_as_it_is() -> None:
    x = torch.empty(3, device="meta")
    with UnfilledMode():
        assert nn.init.uniform_(x) is x
        assert x.normal_() is x


def test_other_functions_happen() -> None:
    with UnfilledMode():
        assert torch.ones(2).add_(1).tolist() == [2.0, 2.0]
