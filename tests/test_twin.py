"""Twins of modules: what ``copy.deepcopy`` would make, with tensors of one's own choice."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aabench.errors import UsageError
from aabench.modules.twin import twin


def on_meta(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")


class Everything(nn.Module):
    """A module with attributes of many kinds, some of which are there twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, bias=False)
        self.again = self.first
        self.norm = nn.BatchNorm2d(4)
        self.tied = nn.Parameter(torch.ones(4), requires_grad=False)
        self.norm.bias = self.tied
        self.register_buffer("table", torch.arange(3))
        self.plain = torch.zeros(2)
        self.settings: dict[str, Any] = {"shape": (3, [4]), "kind": nn.Conv2d, "of": self}
        self.shared = self.settings
        self.parts = [self.first, OrderedDict(one=1)]
        self.size = (3, 4)
        self.names = ("a", [1])
        self.seen: list[str] = []
        self.register_forward_pre_hook(self.note)

    def note(self, module: nn.Module, inputs: Any) -> None:
        self.seen.append("called")

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.first(x)) + self.plain.sum()


def test_a_twin_is_a_deep_copy() -> None:
    model = Everything()
    made = twin(model, torch.clone)
    expected = copy.deepcopy(model)
    assert vars(made).keys() == vars(expected).keys()
    assert made.state_dict().keys() == expected.state_dict().keys()
    assert all(
        torch.equal(*pair)
        for pair in zip(made.state_dict().values(), model.state_dict().values(), strict=True)
    )
    assert (made.size, made.names, made.training) == (model.size, model.names, model.training)
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(made(x), expected(x))
    assert (made.seen, model.seen) == (["called"], [])


def test_what_is_there_twice_is_so_in_the_twin() -> None:
    made = twin(Everything(), on_meta)
    assert made.again is made.first is made.parts[0]
    assert made.norm.bias is made.tied
    assert made.shared is made.settings
    assert made.settings["of"] is made


def test_nothing_that_could_change_is_shared() -> None:
    model = Everything()
    made = twin(model, on_meta)
    ours, theirs = dict(model.named_modules()), dict(made.named_modules())
    for name, module in ours.items():
        for key, value in vars(module).items():
            if isinstance(value, dict | list | nn.Module | Tensor):
                assert vars(theirs[name])[key] is not value, (name, key)
    assert made.names[1] is not model.names[1]
    assert made.settings["shape"][1] is not model.settings["shape"][1]


def test_tensors_are_the_given_ones_and_parameters_stay_parameters() -> None:
    made = twin(Everything(), on_meta)
    assert {each.device.type for each in (*made.parameters(), *made.buffers())} == {"meta"}
    assert made.plain.device.type == made.table.device.type == "meta"
    assert isinstance(made.tied, nn.Parameter) and not made.tied.requires_grad
    assert made.first.weight.requires_grad


class Peculiar(nn.Conv2d):
    """A module that says itself how it is copied."""

    def __deepcopy__(self, known: dict[int, Any]) -> nn.Module:
        return nn.Identity()


def test_a_module_s_own_way_of_being_copied_is_kept() -> None:
    made = twin(nn.Sequential(Peculiar(1, 1, 1)), on_meta)
    assert isinstance(made[0], nn.Identity)


def test_a_module_that_cannot_be_copied_is_refused() -> None:
    model = nn.Sequential(nn.ReLU())
    model.rows = (number for number in range(3))  # type: ignore[assignment]
    with pytest.raises(UsageError, match="cannot be copied"):
        twin(model, on_meta)


class Elaborate(nn.Conv2d):
    """A module whose state is made when it is asked for, of dictionaries that nobody keeps."""

    def __init__(self, number: int) -> None:
        super().__init__(1, 1, 1)
        self.number = number

    def __getstate__(self) -> dict[str, Any]:
        made = {f"made {place}": {"of": self.number, "at": place} for place in range(12)}
        return {**vars(self), **made}


def test_what_a_module_makes_for_its_copy_is_not_mixed_up() -> None:
    made = twin(nn.Sequential(*(Elaborate(number) for number in range(30))), on_meta)
    for number, module in enumerate(made):
        for place in range(12):
            assert vars(module)[f"made {place}"] == {"of": number, "at": place}


def test_a_lazy_module_is_refused_until_it_has_run() -> None:
    with pytest.raises(UsageError, match="lazy modules"):
        twin(nn.Sequential(nn.LazyConv2d(4, 3)), on_meta)
