"""The reference itself, against loops that spell the formula out pixel by pixel."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from random_attention import random_inputs

from aabench.cases.case import Layer
from aabench.errors import UsageError
from aabench.layers import reference
from aabench.layers.reference import reference_layer, reference_rows


def attention_by_loops(q, k, v, tables, resolution):
    height, width = resolution
    pixels = list(itertools.product(range(height), range(width)))
    out = torch.zeros(*q.shape[:3], v.shape[3], dtype=torch.float64)
    for image, head in itertools.product(range(q.shape[0]), range(q.shape[1])):
        for i, (iy, ix) in enumerate(pixels):
            query = q[image, head, i].tolist()
            weights = []
            for j, (jy, jx) in enumerate(pixels):
                against = [k[image, head, j].tolist()]
                if tables is not None:
                    against.append(tables[0][jy - iy + height - 1].tolist())
                    against.append(tables[1][jx - ix + width - 1].tolist())
                weights.append(
                    math.exp(sum(a * b for row in against for a, b in zip(query, row, strict=True)))
                )
            for j, weight in enumerate(weights):
                out[image, head, i] += weight / sum(weights) * v[image, head, j]
    return out


def convolution_by_loops(x, weight, stride):
    batch, _, height, width = x.shape
    out_channels, _, size, _ = weight.shape
    padded = F.pad(x, (size // 2,) * 4)
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    out = torch.zeros(batch, out_channels, rows, columns, dtype=torch.float64)
    for y, column in itertools.product(range(rows), range(columns)):
        top, left = y * stride, column * stride
        window = padded[:, :, top : top + size, left : left + size]
        for channel in range(out_channels):
            out[:, channel, y, column] = (window * weight[channel]).sum(dim=(1, 2, 3))
    return out


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("resolution", [(2, 3), (3, 2), (1, 4), (4, 1), (1, 1), (3, 3)])
def test_rows_equal_the_loops(resolution, tables):
    inputs = random_inputs(2, 2, resolution, 3, 2, tables=tables)
    expected = attention_by_loops(*inputs)
    torch.testing.assert_close(reference_rows(*inputs), expected, rtol=1e-13, atol=1e-13)


def test_given_rows_are_those_rows_of_all():
    inputs = random_inputs(2, 2, (3, 4), 3, 2)
    rows = torch.tensor([7, 0, 7])
    chosen = reference_rows(*inputs, rows)
    torch.testing.assert_close(chosen, reference_rows(*inputs)[:, :, rows])


def test_half_inputs_are_computed_in_double():
    inputs = random_inputs(1, 1, (2, 2), 3, 2, dtype=torch.bfloat16)
    assert reference_rows(*inputs).dtype == torch.float64


def layer_and_state(**changes):
    values = {
        "in_channels": 3,
        "out_channels": 5,
        "kernel_size": 3,
        "stride": 1,
        "downsample": 1,
        "heads": 2,
        "dk": 6,
        "dv": 4,
        "position": "relative",
        "height": 4,
        "width": 3,
    }
    layer = Layer(**{**values, **changes})
    height, width = layer.attention_resolution
    extra = 3 if layer.position == "coordconv" else 0
    shapes = {
        "conv.weight": (layer.out_channels - layer.dv, 3, layer.kernel_size, layer.kernel_size),
        "kqv.weight": (2 * layer.dk + layer.dv, 3 + extra, 1, 1),
        "mix.weight": (layer.dv, layer.dv, 1, 1),
        "position.height": (2 * height - 1, layer.dk // layer.heads),
        "position.width": (2 * width - 1, layer.dk // layer.heads),
    }
    state = {
        name: torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for name, shape in shapes.items()
    }
    return layer, state


@pytest.mark.parametrize(("stride", "downsample"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_a_layer_equals_the_loops(stride, downsample):
    layer, state = layer_and_state(stride=stride, downsample=downsample, height=7, width=6)
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    step = stride * downsample
    side = {1: 1, 2: 3, 4: 5}[step]
    pooled = F.avg_pool2d(x, side, step, padding=side // 2, count_include_pad=False)
    projected = convolution_by_loops(pooled, state["kqv.weight"].detach(), 1)
    height, width = layer.attention_resolution
    assert projected.shape[2:] == (height, width)
    by_channel = projected.flatten(2).mT  # (B, N, channels)
    k, q, v = (
        torch.stack([by_channel[..., start + head * depth :][..., :depth] for head in range(2)], 1)
        for start, depth in ((0, 3), (6, 3), (12, 2))
    )
    tables = (state["position.height"].detach(), state["position.width"].detach())
    heads = attention_by_loops(q / math.sqrt(3), k, v, tables, (height, width))
    merged = torch.cat([heads[:, 0], heads[:, 1]], dim=-1).mT.reshape(2, 4, height, width)
    mixed = convolution_by_loops(merged, state["mix.weight"].detach(), 1)
    convolved = convolution_by_loops(x, state["conv.weight"].detach(), stride)
    mixed = F.interpolate(mixed, convolved.shape[2:], mode="bilinear", align_corners=False)
    expected = torch.cat((convolved, mixed), dim=1)
    actual = reference_layer(x, state, layer)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("position", ["relative", "none", "sine", "coordconv"])
def test_gradients_reach_the_input_and_every_weight(position):
    layer, state = layer_and_state(height=2, width=3, position=position)
    used = [name for name in state if position == "relative" or not name.startswith("position")]
    x = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)

    def of(x, *weights):
        return reference_layer(x, dict(zip(used, weights, strict=True)), layer)

    assert torch.autograd.gradcheck(of, (x, *(state[name] for name in used)), fast_mode=True)


def test_only_the_branches_that_exist_are_computed():
    layer, state = layer_and_state(dv=0)
    x = torch.randn(1, 3, 4, 3, dtype=torch.float64)
    expected = convolution_by_loops(x, state["conv.weight"].detach(), 1)
    torch.testing.assert_close(
        reference_layer(x, {"conv.weight": state["conv.weight"]}, layer), expected
    )
    layer, state = layer_and_state(out_channels=4)
    del state["conv.weight"]
    assert reference_layer(x, state, layer).shape == (1, 4, 4, 3)


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 5), (6, 7), (8, 4)])
def test_window_means_are_centred_on_every_step_th_pixel(step, size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    means = reference._window_means(x, step)
    assert means.shape[2:] == (math.ceil(size[0] / step), math.ceil(size[1] / step))
    reach = step // 2
    for row, column in itertools.product(range(means.shape[2]), range(means.shape[3])):
        top, left = max(row * step - reach, 0), max(column * step - reach, 0)
        window = x[:, :, top : row * step + reach + 1, left : column * step + reach + 1]
        torch.testing.assert_close(means[:, :, row, column], window.mean(dim=(2, 3)))


def test_an_encoding_from_outside_has_no_reference():
    layer, state = layer_and_state(position="package.module:Mine")
    with pytest.raises(UsageError, match="no reference for this position encoding.*reference_rows"):
        reference_layer(torch.randn(1, 3, 4, 3), state, layer)
