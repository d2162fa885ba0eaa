"""The position encodings: which rows of a table a map uses, and what is added or concatenated."""

import math
from dataclasses import replace

import pytest
import torch

from aabench.errors import UsageError
from aabench.layers import AugmentedConv2d
from aabench.layers.positions.coordconv import CoordConvPosition
from aabench.layers.positions.encoding import PositionEncoding
from aabench.layers.positions.no_position import NoPosition
from aabench.layers.positions.relative import RelativePosition
from aabench.layers.positions.sine import SinePosition
from aabench.layers.positions.toeplitz import row_column_logits, toeplitz
from aabench.layers.reference import reference_layer


def relative(depth=3, resolution=(4, 2)):
    return RelativePosition(in_channels=5, depth_per_head=depth, resolution=resolution)


def test_the_whole_map_uses_the_whole_tables():
    position = relative()
    tall, wide = position.tables((4, 2))
    assert torch.equal(tall, position.height)
    assert torch.equal(wide, position.width)


@pytest.mark.parametrize("height", [1, 2, 3])
def test_a_smaller_map_uses_the_same_vector_for_the_same_offset(height):
    position = relative()
    tall, _ = position.tables((height, 2))
    assert tall.shape == (2 * height - 1, 3)
    for offset in range(1 - height, height):
        assert torch.equal(tall[offset + height - 1], position.height[offset + 4 - 1])


@pytest.mark.parametrize("resolution", [(5, 2), (4, 3), (8, 8)])
def test_a_larger_map_is_refused(resolution):
    shown = "x".join(str(side) for side in resolution)
    with pytest.raises(UsageError, match=f"got '{shown}'; allowed: up to 4x2; .*resize_positions"):
        relative().tables(resolution)


def test_tables_are_drawn_with_the_published_deviation():
    position = relative(depth=16, resolution=(400, 400))
    for table in (position.height.detach(), position.width.detach()):
        assert table.mean().abs() < 0.01
        assert table.std() == pytest.approx(16**-0.5, rel=0.03)


def test_resizing_keeps_the_centre_and_the_ends_and_is_linear_between():
    position = relative()
    before = position.height.detach().clone()
    position.resize((7, 2))
    after = position.height.detach()
    assert after.shape == (13, 3)
    torch.testing.assert_close(after[[0, 6, 12]], before[[0, 3, 6]])
    # 13 rows over 7: every second new row lies on an old one, the others halfway between.
    torch.testing.assert_close(after[::2], before)
    torch.testing.assert_close(after[1::2], (before[:-1] + before[1:]) / 2)
    torch.testing.assert_close(position.tables((7, 2))[0], position.height)


def test_a_single_row_is_resized_to_equal_rows():
    position = relative(resolution=(1, 1))
    position.resize((3, 1))
    torch.testing.assert_close(position.height, position.height[:1].expand(5, -1))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_toeplitz_shows_each_query_its_rows(length):
    table = torch.randn(2 * length - 1, 3)
    expanded = toeplitz(table)
    assert expanded.shape == (length, 3, length)
    for i in range(length):
        for j in range(length):
            assert torch.equal(expanded[i, :, j], table[j - i + length - 1])


@pytest.mark.parametrize("resolution", [(3, 4), (1, 5), (5, 1)])
def test_row_and_column_logits_are_the_formula(resolution):
    height, width = resolution
    q = torch.randn(2, 3, 6, height * width, dtype=torch.float64).mT
    tables = tuple(torch.randn(2 * side - 1, 6, dtype=torch.float64) for side in resolution)
    a, b = row_column_logits(q, tables, resolution)
    assert a.shape == (2, 3, height * width, height)
    assert b.shape == (2, 3, height * width, width)
    for i in range(height * width):
        iy, ix = divmod(i, width)
        for jy in range(height):
            torch.testing.assert_close(a[:, :, i, jy], q[:, :, i] @ tables[0][jy - iy + height - 1])
        for jx in range(width):
            torch.testing.assert_close(b[:, :, i, jx], q[:, :, i] @ tables[1][jx - ix + width - 1])


@pytest.mark.parametrize("cls", [NoPosition, PositionEncoding])
def test_no_position_changes_nothing(cls):
    position = cls(in_channels=5, depth_per_head=3, resolution=(4, 2))
    x = torch.randn(1, 5, 9, 9)
    assert position.encode(x) is x
    assert position.tables((9, 9)) is None
    assert not list(position.parameters())
    position.resize((9, 9))
    assert position.resolution == (9, 9)


@pytest.mark.parametrize("channels", [1, 2, 3, 8, 9])
def test_sine_adds_the_waves_of_row_and_column(channels):
    position = SinePosition(in_channels=channels, depth_per_head=3, resolution=(4, 3))
    x = torch.randn(2, channels, 4, 3, dtype=torch.float64)
    code = position.encode(x) - x
    half = math.ceil(channels / 2)
    for channel in range(channels):
        of_rows = channel < half
        index, size = (channel, half) if of_rows else (channel - half, channels - half)
        for row in range(4):
            for column in range(3):
                angle = (row if of_rows else column) / 10_000 ** ((index - index % 2) / size)
                expected = math.cos(angle) if index % 2 else math.sin(angle)
                assert code[1, channel, row, column].item() == pytest.approx(expected, abs=1e-12)


def test_sine_is_the_same_for_every_resolution():
    position = SinePosition(in_channels=4, depth_per_head=3, resolution=(2, 2))
    small = position.encode(torch.zeros(1, 4, 3, 3))
    large = position.encode(torch.zeros(1, 4, 6, 5))
    torch.testing.assert_close(large[:, :, :3, :3], small)


def test_sine_rounds_only_at_the_end():
    position = SinePosition(in_channels=2, depth_per_head=3, resolution=(600, 1))
    code = position.encode(torch.zeros(1, 2, 600, 1, dtype=torch.bfloat16))
    exact = torch.arange(600, dtype=torch.float64).sin()
    assert code.dtype == torch.bfloat16
    assert (code[0, 0, :, 0].double() - exact).abs().max() <= torch.finfo(torch.bfloat16).eps


def test_coordconv_concatenates_column_row_and_radius():
    position = CoordConvPosition(in_channels=2, depth_per_head=3, resolution=(3, 5))
    x = torch.randn(2, 2, 3, 5)
    y = position.encode(x)
    assert position.extra_channels == 3
    assert y.shape == (2, 5, 3, 5)
    assert torch.equal(y[:, :2], x)
    across, down, radius = y[1, 2:]
    torch.testing.assert_close(across, torch.tensor([-1, -0.5, 0, 0.5, 1]).expand(3, 5))
    torch.testing.assert_close(down, torch.tensor([[-1.0], [0], [1]]).expand(3, 5))
    torch.testing.assert_close(radius, (across.square() + down.square()).sqrt())


@pytest.mark.parametrize("size", [(1, 4), (4, 1), (1, 1)])
def test_coordconv_puts_a_single_row_or_column_in_the_middle(size):
    position = CoordConvPosition(in_channels=1, depth_per_head=3, resolution=size)
    across, down, _ = position.encode(torch.randn(1, 1, *size))[0, 1:]
    if size[0] == 1:
        assert down.abs().max() == 0
    if size[1] == 1:
        assert across.abs().max() == 0


@pytest.mark.parametrize("name", ["sine:SinePosition", "coordconv:CoordConvPosition"])
@pytest.mark.parametrize("resolution", [(4, 3), (1, 5), (5, 1)])
def test_layers_with_absolute_positions_equal_the_reference(name, resolution):
    layer = AugmentedConv2d(
        5,
        7,
        dk=6,
        dv=4,
        heads=2,
        position=f"aabench.layers.positions.{name}",
        attention="broadcast",
        resolution=resolution,
    ).double()
    x = torch.randn(2, 5, *resolution, dtype=torch.float64, requires_grad=True)
    specification = replace(layer.specification, position=name.split(":")[0])
    weights = dict(layer.named_parameters())
    expected = reference_layer(x, weights, specification)
    actual = layer(x)
    torch.testing.assert_close(actual, expected)
    start = torch.randn_like(expected)
    leaves = [x, *weights.values()]
    torch.testing.assert_close(
        torch.autograd.grad(actual, leaves, start), torch.autograd.grad(expected, leaves, start)
    )
