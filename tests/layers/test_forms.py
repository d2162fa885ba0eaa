"""Every form of the catalogue against the reference: a new form is tested by being listed."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_attention import random_inputs
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from aabench.cases.catalogue import ATTENTIONS
from aabench.layers import AugmentedConv2d
from aabench.layers.attention_inputs import AttentionInputs
from aabench.layers.reference import reference_layer, reference_rows

# 64-bit sums of at most a few hundred products of unit size.
EXACT = {"rtol": 1e-10, "atol": 1e-11}

LAYERS = {
    "square": {},
    "tall": {"resolution": (7, 3)},
    "wide": {"resolution": (2, 5)},
    "one row": {"resolution": (1, 6)},
    "one column": {"resolution": (6, 1)},
    "one pixel": {"resolution": 1},
    "one head": {"heads": 1},
    "one key channel a head": {"dk": 2},
    "one value channel a head": {"dv": 2},
    "more value than key channels": {"dk": 2, "dv": 8, "out_channels": 9},
    "attention alone": {"dv": 12},
    "kernel 1": {"kernel_size": 1},
    "kernel 5": {"kernel_size": 5},
    "biases": {"bias": True},
    "stride 2": {"stride": 2, "resolution": (7, 6)},
    "downsample 2": {"downsample": 2, "resolution": (6, 7)},
    "stride 2, downsample 2": {"stride": 2, "downsample": 2, "resolution": (9, 10)},
    "downsample 3": {"downsample": 3, "resolution": (7, 5)},
    "no positions": {"position": "none"},
}


def build(attention="broadcast", dtype=torch.float64, **changes):
    values = {"kernel_size": 3, "dk": 8, "dv": 4, "heads": 2, "resolution": (5, 4)}
    values |= {"in_channels": 6, "out_channels": 12, **changes}
    layer = AugmentedConv2d(attention=attention, **values)
    # Modules of fake tensors cannot be converted, not even to what they are.
    return layer if dtype == torch.float32 else layer.to(dtype)


def output_and_gradients(compute, x, parameters, seed=1):
    x = x.detach().clone().requires_grad_()
    parameters = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
    y = compute(x, parameters)
    start = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(seed))
    gradients = torch.autograd.grad(y, [x, *parameters.values()], start)
    return {"output": y, **dict(zip(["input", *parameters], gradients, strict=True))}


def assert_equals_reference(layer, x):
    parameters = dict(layer.named_parameters())
    actual = output_and_gradients(
        lambda x, state: torch.func.functional_call(layer, state, x), x, parameters
    )
    expected = output_and_gradients(
        lambda x, state: reference_layer(x, state, layer.specification), x, parameters
    )
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, **EXACT, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("changes", LAYERS.values(), ids=LAYERS.keys())
def test_output_and_all_gradients_equal_the_reference(form, changes):
    layer = build(form, **changes)
    assert_equals_reference(layer, torch.randn(2, 6, *layer.resolution, dtype=torch.float64))


def test_one_image(form):
    assert_equals_reference(build(form), torch.randn(1, 6, 5, 4, dtype=torch.float64))


@pytest.mark.parametrize("resolution", [(4, 3), (1, 4), (5, 1), (2, 2)])
@pytest.mark.parametrize("downsample", [1, 2])
def test_smaller_inputs_than_the_tables(form, resolution, downsample):
    layer = build(form, downsample=downsample)
    assert_equals_reference(layer, torch.randn(2, 6, *resolution, dtype=torch.float64))


def test_channels_last(form):
    layer = build(form).to(memory_format=torch.channels_last)
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    assert_equals_reference(layer, x)


def test_non_contiguous_input(form):
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64).permute(0, 3, 2, 1)[:, :, :, ::2]
    assert_equals_reference(build(form), x)


@given(
    batch=st.integers(1, 2),
    heads=st.integers(1, 3),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    key_depth=st.integers(1, 9),
    value_depth=st.integers(1, 9),
    tables=st.booleans(),
)
@settings(deadline=None, max_examples=15)
def agree_on_random_shapes(form, *, batch, heads, height, width, key_depth, value_depth, tables):
    inputs = random_inputs(
        batch, heads, (height, width), key_depth, value_depth, tables=tables, requires_grad=True
    )
    leaves = [*inputs[:3], *(inputs.tables or ())]
    actual, expected = ATTENTIONS.load(form)(*inputs), reference_rows(*inputs)
    start = torch.randn_like(expected)
    torch.testing.assert_close(actual, expected, **EXACT)
    torch.testing.assert_close(
        torch.autograd.grad(actual, leaves, start),
        torch.autograd.grad(expected, leaves, start),
        **EXACT,
    )


def test_random_shapes_equal_the_reference(form):
    agree_on_random_shapes(form)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tables", [True, False])
def test_rounding_is_that_of_the_data_type(form, dtype, tables):
    inputs = random_inputs(2, 2, (8, 8), 16, 4, tables=tables, dtype=dtype)
    exact = reference_rows(*inputs)
    actual = ATTENTIONS.load(form)(*inputs)
    assert actual.dtype == dtype
    # Logits of size ~4 are rounded a few times before the exponential multiplies their absolute
    # error into the weights; sums are kept in float32 or better.
    relative = (actual.double() - exact).norm() / exact.norm()
    assert relative < 16 * torch.finfo(dtype).eps


def test_without_gradients_the_numbers_stay(form):
    """Fused kernels take over when no gradient is needed: other code, the same figures."""
    inputs = random_inputs(2, 2, (4, 5), 6, 3)
    with torch.inference_mode():
        torch.testing.assert_close(ATTENTIONS.load(form)(*inputs), reference_rows(*inputs), **EXACT)


def test_inputs_are_left_as_they_were(form):
    inputs = random_inputs(1, 2, (3, 4), 5, 5)
    before = copy.deepcopy(inputs)
    ATTENTIONS.load(form)(*inputs)
    torch.testing.assert_close(inputs[:3], before[:3], rtol=0, atol=0)
    torch.testing.assert_close(inputs.tables, before.tables, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_trains(form, dtype):
    layer = build(form, torch.float32)
    x = torch.randn(2, 6, 5, 4, requires_grad=True)
    with torch.autocast("cpu", dtype):
        y = layer(x)
    y.float().square().mean().backward()
    exact = reference_layer(x, dict(layer.named_parameters()), layer.specification)
    assert y.dtype == dtype
    assert (y.double() - exact).norm() / exact.norm() < 16 * torch.finfo(dtype).eps
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_torch_compile_takes_the_whole_layer(form):
    layer = build(form, torch.float32, downsample=2)
    x = torch.randn(2, 6, 5, 4, requires_grad=True)
    torch.compiler.reset()
    y = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(y, layer(x), rtol=1e-5, atol=1e-6)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_fake_tensors_trace_a_training_step(form):
    with FakeTensorMode():
        layer = build(form, torch.float32, resolution=28)
        x = torch.randn(64, 6, 28, 28, requires_grad=True)
        y = layer(x)
        y.sum().backward()
    assert y.shape == (64, 12, 28, 28)
    assert x.grad is not None
    assert x.grad.shape == x.shape


def test_weights_move_between_forms(form):
    layer, other = build("broadcast"), build(form)
    other.load_state_dict(layer.state_dict(), strict=True)
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(other(x), layer(x), **EXACT)


def test_the_form_of_a_trained_layer_can_be_changed(form):
    layer = build("broadcast")
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(x).square().mean().backward()
    optimizer.step()
    before = layer(x)
    layer.attention = form
    torch.testing.assert_close(layer(x), before, **EXACT)
    assert not torch.equal(layer(x), build("broadcast")(x))


def on_meta(inputs: AttentionInputs) -> AttentionInputs:
    q, k, v = (tensor.to("meta") for tensor in inputs[:3])
    tables = inputs.tables
    moved = None if tables is None else (tables[0].to("meta"), tables[1].to("meta"))
    return AttentionInputs(q, k, v, moved, inputs.resolution)


POSITION_MACS_PER_TOKEN_AND_KEY_CHANNEL = {
    "materialized": lambda height, width: 2 * height + 2 * width - 2,
    "broadcast": lambda height, width: height + width,
    "sdpa-bias": lambda height, width: height + width,
}


@pytest.mark.parametrize("name", POSITION_MACS_PER_TOKEN_AND_KEY_CHANNEL)
@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("resolution", [(4, 4), (3, 5), (1, 7)])
def test_macs_are_those_of_the_formula(name, resolution, tables):
    batch, heads, key_depth, value_depth = 2, 3, 5, 7
    inputs = on_meta(random_inputs(batch, heads, resolution, key_depth, value_depth, tables=tables))
    with FlopCounterMode(display=False) as counter:
        ATTENTIONS.load(name)(*inputs)
    tokens, dk, dv = math.prod(resolution), heads * key_depth, heads * value_depth
    macs = tokens**2 * (dk + dv)
    if tables:
        macs += tokens * dk * POSITION_MACS_PER_TOKEN_AND_KEY_CHANNEL[name](*resolution)
    assert counter.get_total_flops() == 2 * batch * macs


@pytest.mark.parametrize("name", POSITION_MACS_PER_TOKEN_AND_KEY_CHANNEL)
def test_macs_of_a_layer_are_those_of_the_formula(name):
    with torch.device("meta"):
        layer = build(name, bias=True)
        x = torch.randn(3, 6, 5, 4, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    tokens, dk, dv = 20, 8, 4
    convolutions = tokens * (9 * 6 * (12 - dv) + 6 * (2 * dk + dv) + dv * dv)
    positions = tokens * dk * POSITION_MACS_PER_TOKEN_AND_KEY_CHANNEL[name](5, 4)
    macs = convolutions + tokens**2 * (dk + dv) + positions
    assert counter.get_total_flops() == 2 * 3 * macs


@pytest.mark.parametrize("name", ["materialized", "broadcast"])
def test_training_is_three_forward_passes(name):
    with torch.device("meta"):
        layer = build(name)
        x = torch.randn(3, 6, 5, 4, dtype=torch.float64, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        y = layer(x)
    with FlopCounterMode(display=False) as backward:
        y.sum().backward()
    assert backward.get_total_flops() == 2 * forward.get_total_flops()
