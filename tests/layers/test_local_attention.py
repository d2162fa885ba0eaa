"""Local attention against its formula, pixel by pixel in float64, and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.errors import UsageError
from aabench.layers import LocalAttention2d
from aabench.layers.local_attention import attend_locally
from aabench.layers.local_reference import local_reference_rows

# 64-bit sums of at most a few hundred products of unit size.
EXACT = {"rtol": 1e-10, "atol": 1e-11}


def build(dtype=torch.float64, **changes):
    values = {"in_channels": 3, "out_channels": 8, "kernel_size": 5, "heads": 2}
    return LocalAttention2d(**{**values, **changes}).to(dtype)


def formula(x, state, heads, stride=1):
    """The whole layer from its weights: equation 3 one pixel and head at a time, then means."""
    B, _, H, W = x.shape
    projected = torch.einsum("oi,bihw->bohw", state["projection.weight"][:, :, 0, 0], x)
    q, k, v = (part.unflatten(1, (heads, -1)) for part in projected.chunk(3, dim=1))
    reach = state["rows"].shape[2] // 2

    def pixel(b, head, y, across):
        logits, values = [], []
        for j in range(max(0, y - reach), min(H, y + reach + 1)):
            for i in range(max(0, across - reach), min(W, across + reach + 1)):
                offset = j - y + reach, i - across + reach
                r = torch.cat(
                    [state["rows"][head, :, offset[0]], state["columns"][head, :, offset[1]]]
                )
                logits.append(q[b, head, :, y, across] @ (k[b, head, :, j, i] + r))
                values.append(v[b, head, :, j, i])
        return torch.stack(logits).softmax(0) @ torch.stack(values)

    def mean(b, head, y, across):
        rows, columns = range(y, min(y + stride, H)), range(across, min(across + stride, W))
        return torch.stack([pixel(b, head, j, i) for j in rows for i in columns]).mean(0)

    return (
        torch.stack(
            [
                mean(b, head, y, across)
                for b in range(B)
                for head in range(heads)
                for y in range(0, H, stride)
                for across in range(0, W, stride)
            ]
        )
        .reshape(B, heads, -(-H // stride), -(-W // stride), -1)
        .permute(0, 1, 4, 2, 3)
        .flatten(1, 2)
    )


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
        lambda x, state: formula(x, state, layer.heads, layer.stride), x, parameters
    )
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, **EXACT, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(5, 4), (1, 3), (3, 1), (2, 2), (1, 1)])
def test_output_and_all_gradients_are_the_formula(size, stride):
    assert_is_its_formula(build(stride=stride), torch.randn(2, 3, *size, dtype=torch.float64))


@pytest.mark.parametrize(
    "changes",
    [{"kernel_size": 1}, {"kernel_size": 7}, {"heads": 1}, {"heads": 4}, {"in_channels": 1}],
    ids=str,
)
def test_other_windows_heads_and_channels(changes):
    layer = build(**changes)
    assert_is_its_formula(layer, torch.randn(1, layer.in_channels, 3, 4, dtype=torch.float64))


def test_channels_last_and_strided_inputs():
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    assert_is_its_formula(build(), x.permute(0, 3, 2, 1)[:, ::2])
    channels_last = build(in_channels=4).to(memory_format=torch.channels_last)
    assert_is_its_formula(channels_last, x.to(memory_format=torch.channels_last))


@given(
    batch=st.integers(1, 2),
    heads=st.integers(1, 3),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    half=st.integers(1, 3),
    reach=st.integers(0, 3),
)
@settings(deadline=None, max_examples=25)
def test_the_attention_equals_the_reference_at_random_shapes(
    *, batch, heads, height, width, half, reach
):
    shape = (batch, heads, height * width, 2 * half)
    q, k, v = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(3))
    tables = tuple(
        torch.randn(heads, half, 2 * reach + 1, dtype=torch.float64, requires_grad=True)
        for _ in range(2)
    )
    actual = attend_locally(q, k, v, tables, (height, width))
    expected = local_reference_rows(q, k, v, tables, (height, width))
    torch.testing.assert_close(actual, expected, **EXACT)
    start = torch.randn_like(expected)
    for mine, theirs in zip(
        torch.autograd.grad(actual, [q, k, v, *tables], start),
        torch.autograd.grad(expected, [q, k, v, *tables], start),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, **EXACT)


def test_the_reference_takes_some_queries_alone():
    layer = build(torch.float32)
    inputs = layer.attention_inputs(torch.randn(2, 3, 4, 5))
    rows = torch.tensor([7, 0, 19])
    some, every = local_reference_rows(*inputs, rows), local_reference_rows(*inputs)
    assert some.dtype == torch.float64
    torch.testing.assert_close(some, every[:, :, rows])
    torch.testing.assert_close(layer.attend(inputs)[:, :, rows].double(), some, rtol=0, atol=1e-5)


def test_half_precision_is_as_exact_as_its_roundings():
    layer = build(torch.bfloat16)
    inputs = layer.attention_inputs(torch.randn(2, 3, 5, 6, dtype=torch.bfloat16))
    exact = local_reference_rows(*inputs)
    error = (layer.attend(inputs).double() - exact).norm() / exact.norm()
    assert error < 4 * torch.finfo(torch.bfloat16).eps


def test_autocast_reaches_the_tables():
    layer = build(torch.float32)
    x = torch.randn(2, 3, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        inputs = layer.attention_inputs(x)
        y = layer(x)
    assert {tensor.dtype for tensor in (*inputs[:3], *inputs.tables, y)} == {torch.bfloat16}
    y.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.any() for p in layer.parameters())


def test_the_size_of_its_state_is_the_papers():
    layer = build(resolution=(5, 4))
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == {
        "rows": (2, 2, 5),
        "columns": (2, 2, 5),
        "projection.weight": (24, 3, 1, 1),
    }
    assert "kernel_size=5, heads=2, stride=1" in repr(layer)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel_size": 4}, "no centre; got 4; allowed: odd"),
        ({"out_channels": 12, "heads": 8}, "8 heads do not divide 12 channels.*multiples of 16"),
        ({"heads": 0}, "heads is no positive count; got 0"),
        ({"stride": 0}, "stride is no positive count; got 0"),
        ({"in_channels": 2.5}, "in_channels is no positive count; got 2.5"),
        ({"resolution": (3, 0)}, "resolution is no positive count; got 0"),
    ],
    ids=str,
)
def test_what_makes_no_layer_is_refused_by_name(changes, message):
    with pytest.raises(UsageError, match=message):
        build(**changes)


def test_an_input_without_a_batch_is_refused():
    with pytest.raises(UsageError, match=r"no batch of images; got \(3, 5, 4\); allowed: NCHW"):
        build()(torch.randn(3, 5, 4, dtype=torch.float64))
