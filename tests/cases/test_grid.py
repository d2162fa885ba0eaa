"""The grid: its product, its order, its keys, and the layers that are none."""

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.case import Case
from aabench.cases.grid import SINGLE_PIXEL, Grid
from aabench.errors import UsageError


def test_the_product_in_axis_order_last_axis_fastest():
    grid = Grid.of({"mode": "infer,train", "heads": "2,4"})
    seen = [(entry.case.layer.heads, entry.case.mode) for entry in grid.entries()]
    assert seen == [(2, "infer"), (2, "train"), (4, "infer"), (4, "train")]
    assert [entry.index for entry in grid.entries()] == [0, 1, 2, 3]


def test_out_channels_follow_in_channels():
    shapes = [entry.case.layer for entry in Grid.of({"in_channels": [64, 128]}).entries()]
    assert [layer.out_channels for layer in shapes] == [64, 128]


@pytest.mark.parametrize(("channels", "dk", "dv"), [(128, 160, 8), (256, 160, 24), (512, 160, 48)])
def test_published_depths(channels, dk, dv):
    grid = Grid.of(
        {"in_channels": channels, "heads": 8, "kappa": 0.2, "upsilon": 0.1},
        min_key_depth_per_head=20,
    )
    layer = next(grid.entries()).case.layer
    assert (layer.dk, layer.dv) == (dk, dv)


def test_a_binding_floor_is_said():
    grid = Grid.of({"in_channels": 128, "kappa": 0.2}, min_key_depth_per_head=20)
    entry = next(grid.entries())
    assert entry.notes == ("dk raised from 24 to 160 by the floor of 20 per head",)


def test_equal_cases_after_rounding_share_a_key():
    grid = Grid.of({"in_channels": 64, "heads": 8, "kappa": "0.25,0.3"})
    first, second = grid.entries()
    assert first.case.key == second.case.key
    assert (first.kappa, second.kappa) == (Decimal("0.25"), Decimal("0.3"))


def test_without_attention_its_settings_make_no_difference():
    grid = Grid.of({"dv": 0, "heads": "2,8", "dk": "16,32", "attention": "broadcast,auto"})
    assert len({entry.case.key for entry in grid.entries()}) == 1


def test_the_optimizer_only_counts_in_train():
    grid = Grid.of({"optimizer": "adam,sgd", "mode": "infer,train"})
    assert len({entry.case.key for entry in grid.entries()}) == 3


def test_upsilon_that_rounds_to_nothing_is_said():
    entry = next(Grid.of({"in_channels": 64, "heads": 8, "upsilon": 0.1}).entries())
    assert entry.case.layer.dv == 0
    assert "plain convolution" in entry.notes[0]


@pytest.mark.parametrize(
    ("axes", "clue"),
    [
        ({"heads": 3, "dk": 32, "dv": 9}, "3 heads do not divide dk = 32; allowed: 30 or 33"),
        ({"heads": 3, "dk": 33, "dv": 8}, "3 heads do not divide dv = 8; allowed: 6 or 9"),
        ({"in_channels": 16, "heads": 4, "dv": 32, "dk": 4}, "dv = 32 exceeds the 16 output"),
        ({"in_channels": 64, "heads": 8, "kappa": 0, "dv": 8}, "leaves no key channel"),
        ({"kernel_size": 4}, "kernel size 4 is even"),
    ],
)
def test_impossible_layers_say_why(axes, clue):
    entry = next(Grid.of(axes).entries())
    assert clue in entry.problem


@pytest.mark.parametrize(("downsample", "is_said"), [(2, False), (4, True), (8, True)])
def test_pooling_down_to_one_pixel_is_said(downsample, is_said):
    axes = {"in_channels": 64, "resolution": "8x6", "stride": 2, "downsample": downsample}
    entry = next(Grid.of(axes).entries())
    assert (SINGLE_PIXEL in entry.notes) is is_said
    assert entry.case.layer.tokens == 1 or not is_said


def test_a_floor_out_of_range_is_refused():
    with pytest.raises(UsageError, match="min-key-depth"):
        Grid.of({}, min_key_depth_per_head=-1)


small_axes = st.fixed_dictionaries(
    {},
    optional={
        "in_channels": st.lists(st.integers(1, 300), min_size=1, max_size=3),
        "heads": st.lists(st.integers(1, 16), min_size=1, max_size=3),
        "kappa": st.lists(st.decimals(0, 1, places=3), min_size=1, max_size=2),
        "dv": st.lists(st.integers(0, 300), min_size=1, max_size=2),
        "resolution": st.lists(
            st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=2
        ),
        "mode": st.lists(st.sampled_from(["infer", "train"]), min_size=1, max_size=2),
        "compile": st.lists(st.booleans(), min_size=1, max_size=2),
    },
)


@given(axes=small_axes, floor=st.integers(0, 30))
@settings(deadline=None, max_examples=60)
def test_a_grid_survives_its_own_json(axes, floor):
    grid = Grid.of(axes, min_key_depth_per_head=floor)
    again = Grid.from_dict(json.loads(json.dumps(grid.to_dict())))
    assert again == grid
    assert list(again.entries()) == list(grid.entries())
    assert len(grid) == math.prod(map(len, grid.axes.values())) == len(list(grid.entries()))


@given(axes=small_axes)
@settings(deadline=None, max_examples=60)
def test_cases_survive_json_and_keys_tell_cases_apart(axes):
    by_key: dict[str, Case] = {}
    for entry in Grid.of(axes).entries():
        case = entry.case
        assert Case.from_dict(json.loads(json.dumps(case.to_dict()))) == case
        assert by_key.setdefault(case.key, case) == case


@given(axes=small_axes)
@settings(deadline=None, max_examples=60)
def test_valid_layers_keep_the_rules(axes):
    for entry in Grid.of(axes).entries():
        layer = entry.case.layer
        if entry.problem is None and layer.dv:
            assert layer.dk % layer.heads == layer.dv % layer.heads == 0
            assert 1 <= layer.dv <= layer.out_channels
            assert layer.dk >= layer.heads
