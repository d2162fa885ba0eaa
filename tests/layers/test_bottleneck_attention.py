"""BoT's attention against its formula in float64 for every form, and what it refuses."""

import pytest
import torch

from aabench.errors import UnknownName, UsageError
from aabench.layers import BottleneckAttention2d
from aabench.layers.reference import reference_rows

EXACT = {"rtol": 1e-10, "atol": 1e-11}


def build(dtype=torch.float64, **changes):
    values = {"in_channels": 6, "out_channels": 8, "heads": 2, "resolution": (3, 4)}
    return BottleneckAttention2d(**{**values, **changes}).to(dtype)


def formula(x, state, heads, stride=1):
    """The whole layer from its weights, every pair of pixels written out, then means."""
    _, _, H, W = x.shape
    projected = torch.einsum("oi,bihw->bohw", state["kqv.weight"][:, :, 0, 0], x).flatten(2)
    k, q, v = projected.unflatten(1, (3, heads, -1)).unbind(1)  # (B, Nh, d, N)
    pixel = torch.arange(H * W)
    y, across = pixel // W, pixel % W
    height, width = state["position.height"], state["position.width"]
    r = height[y[None] - y[:, None] + height.shape[0] // 2]  # (N, N, d), of i and j
    r = r + width[across[None] - across[:, None] + width.shape[0] // 2]
    logits = torch.einsum("bhdi,bhijd->bhij", q, k.mT[:, :, None] + r) / q.shape[2] ** 0.5
    out = torch.einsum("bhij,bhdj->bhdi", logits.softmax(3), v).flatten(1, 2).unflatten(2, (H, W))
    rows = [out[:, :, i : i + stride].mean(2) for i in range(0, H, stride)]
    out = torch.stack(rows, dim=2)
    columns = [out[..., i : i + stride].mean(3) for i in range(0, W, stride)]
    return torch.stack(columns, dim=3)


def output_and_gradients(compute, x, parameters):
    x = x.detach().clone().requires_grad_()
    parameters = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
    y = compute(x, parameters)
    start = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(y, [x, *parameters.values()], start)
    return {"output": y, **dict(zip(["input", *parameters], gradients, strict=True))}


def assert_is_its_formula(layer, x):
    parameters = dict(layer.named_parameters())
    actual = output_and_gradients(
        lambda x, state: torch.func.functional_call(layer, state, x), x, parameters
    )
    expected = output_and_gradients(
        lambda x, state: formula(x, state, layer.heads, layer.pooling), x, parameters
    )
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, **EXACT, msg=lambda m, n=name: f"{n}: {m}")


def test_every_form_computes_the_formula(form):
    assert_is_its_formula(build(attention=form), torch.randn(2, 6, 3, 4, dtype=torch.float64))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(5, 4), (1, 3), (3, 1), (2, 2), (1, 1)])
def test_output_and_all_gradients_are_the_formula(size, stride):
    layer = build(stride=stride, resolution=size)
    assert_is_its_formula(layer, torch.randn(2, 6, *size, dtype=torch.float64))


@pytest.mark.parametrize("changes", [{"heads": 1}, {"heads": 8}, {"out_channels": 3, "heads": 3}])
def test_other_heads_and_channels(changes):
    assert_is_its_formula(build(**changes), torch.randn(1, 6, 3, 4, dtype=torch.float64))


def test_channels_last_strided_and_smaller_inputs():
    x = torch.randn(2, 3, 4, 12, dtype=torch.float64)
    assert_is_its_formula(build(), x.permute(0, 3, 1, 2)[:, ::2])
    layer = build().to(memory_format=torch.channels_last)
    smaller = torch.randn(2, 6, 2, 3, dtype=torch.float64)
    assert_is_its_formula(layer, smaller.to(memory_format=torch.channels_last))


def test_the_forms_reference_checks_its_attention_too(form):
    layer = build(torch.float32, attention=form)
    inputs = layer.attention_inputs(torch.randn(2, 6, 3, 4))
    rows = torch.tensor([7, 0, 11])
    exact = reference_rows(*inputs, rows)
    torch.testing.assert_close(layer.attend(inputs)[:, :, rows].double(), exact, rtol=0, atol=1e-5)


def test_its_state_has_no_mixing_of_the_heads():
    layer = build(stride=2)
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == {
        "kqv.weight": (24, 6, 1, 1),
        "position.height": (5, 4),
        "position.width": (7, 4),
    }
    assert "pooling=2" in repr(layer)


def test_larger_inputs_need_larger_tables():
    layer = build()
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    with pytest.raises(UsageError, match="larger than the position tables; got '5x5'"):
        layer(x)
    layer.resize_positions(5)
    assert_is_its_formula(layer, x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "3 heads do not divide"),
        ({"stride": 0}, "stride is no positive count; got 0"),
        ({"resolution": 0}, "resolution is no positive count; got 0"),
    ],
    ids=str,
)
def test_what_makes_no_layer_is_refused_by_name(changes, message):
    with pytest.raises(UsageError, match=message):
        build(**changes)


def test_an_unknown_form_and_ratios_are_refused():
    with pytest.raises(UnknownName, match="did you mean blocked"):
        build(attention="bloked")
    with pytest.raises(UsageError, match="kappa = upsilon = 1"):
        BottleneckAttention2d.from_ratios(6, 8, kappa=1, upsilon=1, heads=2, resolution=4)
