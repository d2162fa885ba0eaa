"""What is particular to the form `factored`: which fused kernel takes a case, and that it alone runs."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_attention import random_inputs
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from aabench.cases.fused_kernels import FusedCase, choose_kernel
from aabench.errors import UnknownName, UnsupportedCase
from aabench.layers.attention import factored, materialized
from aabench.layers.reference import reference_rows
from aabench.measuring.allocation_trace import level_of
from aabench.measuring.cpu_memory import allocation_events

# Sums of at most a hundred float64 products of unit size.
EXACT = {"rtol": 1e-12, "atol": 1e-13}


def leaves_of(inputs):
    return [*inputs[:3], *(inputs.tables or ())]


def results_of(attend, inputs, start):
    attended = attend(*inputs)
    return [attended, *torch.autograd.grad(attended, leaves_of(inputs), start.to(attended.dtype))]


@given(
    batch=st.integers(1, 2),
    heads=st.integers(1, 3),
    resolution=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    depths=st.tuples(st.integers(1, 9), st.integers(1, 30)),
    tables=st.booleans(),
    contiguous=st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_random_shapes_equal_the_reference(batch, heads, resolution, depths, tables, contiguous):
    inputs = random_inputs(batch, heads, resolution, *depths, tables=tables, requires_grad=True)
    if contiguous:
        q, k, v = (tensor.detach().contiguous().requires_grad_() for tensor in inputs[:3])
        inputs = inputs._replace(q=q, k=k, v=v)
    start = torch.randn(batch, heads, math.prod(resolution), depths[1], dtype=torch.float64)
    torch.testing.assert_close(
        results_of(factored.attend, inputs, start),
        results_of(reference_rows, inputs, start),
        **EXACT,
    )


@pytest.mark.parametrize("tables", [True, False])
def test_gradcheck(tables):
    inputs = random_inputs(1, 2, (2, 3), 3, 2, tables=tables, requires_grad=True)

    def attend(q, k, v, *tables):
        return factored.attend(q, k, v, tables or None, (2, 3))

    assert torch.autograd.gradcheck(attend, leaves_of(inputs), fast_mode=True)


class Operations(TorchDispatchMode):
    """The names of all operations that were dispatched."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_the_flash_kernel_runs_on_the_cpu(dtype, tables, train):
    """With heads and depths in which q, k and v are far from what the kernel takes as it is."""
    inputs = random_inputs(2, 1, (3, 5), 5, 3, tables=tables, dtype=dtype, requires_grad=train)
    flash = "aten._scaled_dot_product_flash_attention_for_cpu"
    with Operations() as operations:
        attended = factored.attend(*inputs)
        if train:
            attended.sum().backward()
    assert flash in operations.names
    assert (f"{flash}_backward" in operations.names) == train
    assert "aten._softmax" not in operations.names


def test_checkpointing():
    inputs = random_inputs(2, 2, (3, 4), 5, 2, requires_grad=True)
    start = torch.randn(2, 2, 12, 2, dtype=torch.float64)

    def attend(*arguments):
        return checkpoint(factored.attend, *arguments, use_reentrant=False)

    torch.testing.assert_close(
        results_of(attend, inputs, start),
        results_of(factored.attend, inputs, start),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_rounds_as_half_precision_does(dtype):
    single = random_inputs(2, 2, (4, 5), 8, 4, dtype=torch.float32, requires_grad=True)
    with torch.autocast("cpu", dtype):
        attended = factored.attend(*single)
    assert attended.dtype == dtype
    exact = reference_rows(*single)
    assert (attended.double() - exact).norm() / exact.norm() < 8 * torch.finfo(dtype).eps
    gradients = torch.autograd.grad(attended.float().sum(), leaves_of(single))
    assert all(gradient.dtype == torch.float32 for gradient in gradients)


def test_half_precision_is_more_accurate_than_the_full_map():
    inputs = random_inputs(2, 2, (8, 8), 20, 4, dtype=torch.bfloat16)
    exact = reference_rows(*inputs)

    def error(attend):
        return (attend(*inputs).double() - exact).norm()

    assert error(factored.attend) < error(materialized.attend)


def peak_bytes(side, *, train):
    inputs = random_inputs(1, 2, (side, side), 8, 4, dtype=torch.float32, requires_grad=train)
    start = torch.randn(1, 2, side * side, 4)

    def step():
        with torch.set_grad_enabled(train):
            attended = factored.attend(*inputs)
        if train:
            torch.autograd.grad(attended, leaves_of(inputs), start)

    step()
    return level_of(allocation_events(step)).peak_bytes


@pytest.mark.parametrize("train", [True, False])
def test_memory_grows_with_pixels_times_sides(train):
    """Where H and W double, a map grows 16-fold."""
    assert peak_bytes(40, train=train) <= 8 * peak_bytes(20, train=train)


CPU = FusedCase("cpu", "float32", training=True, key_depth=20, value_depth=2, sides=64)
HOPPER = dataclasses.replace(
    CPU, device_type="cuda", data_type="bfloat16", capability=(9, 0), cudnn=91501
)
AMPERE = dataclasses.replace(HOPPER, capability=(8, 0))


@pytest.mark.parametrize(
    ("case", "changes", "kernel"),
    [
        (CPU, {}, "flash"),
        (CPU, {"data_type": "float64", "sides": 4000}, "flash"),
        (HOPPER, {}, "cudnn"),
        (HOPPER, {"sides": 108}, "cudnn"),
        (HOPPER, {"sides": 109}, "flash"),
        (HOPPER, {"value_depth": 129}, "flash"),
        (HOPPER, {"cudnn": 91500}, "flash"),
        (HOPPER, {"data_type": "float32"}, "memory-efficient"),
        (HOPPER, {"capability": (12, 0)}, "flash"),
        (AMPERE, {}, "flash"),
        (AMPERE, {"data_type": "float16", "sides": 236}, "flash"),
        (AMPERE, {"sides": 237}, "memory-efficient"),
        (AMPERE, {"value_depth": 257}, "memory-efficient"),
        (AMPERE, {"capability": (8, 6), "sides": 172}, "flash"),
        (AMPERE, {"capability": (8, 6), "sides": 173}, "memory-efficient"),
        (AMPERE, {"capability": (8, 6), "sides": 204}, "memory-efficient"),
        (AMPERE, {"capability": (8, 6), "sides": 205}, "flash"),
        (AMPERE, {"capability": (8, 6), "sides": 173, "training": False}, "flash"),
        (AMPERE, {"capability": (7, 5), "data_type": "float16"}, "memory-efficient"),
    ],
)
def test_the_first_kernel_that_takes_the_case_is_chosen(case, changes, kernel):
    assert choose_kernel(dataclasses.replace(case, **changes)).name == kernel


def test_a_kernel_that_cannot_run_after_all_gives_way_to_the_next():
    def ask(kernel):
        return "cudnn is not deterministic" if kernel.name == "cudnn" else None

    assert choose_kernel(HOPPER, ask=ask).name == "flash"
    with pytest.raises(UnsupportedCase, match="^factored: cudnn is not deterministic$"):
        choose_kernel(HOPPER, "cudnn", ask)


@pytest.mark.parametrize(
    ("changes", "named", "reason"),
    [
        (
            {"sides": 256},
            "flash",
            r"^factored: flash takes E = dk/Nh \+ H \+ W up to 256, not 20 \+ 256 = 276; "
            r"at dk/Nh = 20 it takes H \+ W up to 236$",
        ),
        ({"sides": 112, "key_depth": 140}, "cudnn", r"up to 128, .* H \+ W up to 0$"),
        ({"value_depth": 300}, "flash", r"flash takes dv/Nh up to 256, not 300"),
        ({"cudnn": None}, "cudnn", r"cudnn wants cuDNN above 91500, not None"),
        ({"capability": (8, 9), "sides": 180}, "flash", r"above 192 .* 224 on sm89, .* E is 200"),
        ({"capability": (8, 0)}, "cudnn", r"cudnn is taken on sm9x and sm10x, not on sm80"),
        ({"capability": (7, 5)}, "flash", r"flash takes bfloat16 from sm80 on, not on sm75"),
        ({"data_type": "float32"}, "flash", r"flash takes float16, bfloat16, not float32"),
        (
            {"data_type": "float64"},
            None,
            r"cudnn takes .*; flash takes .*; memory-efficient takes .* not float64",
        ),
        ({"device_type": "mps"}, None, r"no fused kernel is known on mps"),
    ],
)
def test_a_refusal_says_the_limit(changes, named, reason):
    with pytest.raises(UnsupportedCase, match=reason):
        choose_kernel(dataclasses.replace(HOPPER, **changes), named)


@pytest.mark.parametrize(
    ("case", "depths"),
    [
        (CPU, (88, 88)),
        (dataclasses.replace(CPU, value_depth=100), (104, 104)),
        (HOPPER, (88, 8)),
        (AMPERE, (88, 88)),
        (dataclasses.replace(HOPPER, data_type="float32"), (88, 4)),
        (dataclasses.replace(HOPPER, sides=0), (24, 8)),
    ],
)
def test_depths_are_padded_as_the_kernel_wants_them(case, depths):
    assert choose_kernel(case).depths(case) == depths


def test_a_kernel_of_another_device_is_unknown():
    inputs = random_inputs(1, 1, (2, 2), 4, 2)
    with pytest.raises(UnknownName, match="unknown fused kernel on cpu; got 'cudnn'"):
        factored.attend(*inputs, kernel="cudnn")
    torch.testing.assert_close(
        factored.attend(*inputs, kernel="flash"), reference_rows(*inputs), **EXACT
    )


def test_on_meta_nothing_is_chosen_or_computed():
    inputs = random_inputs(2, 3, (4, 5), 6, 7)
    q, k, v, *tables = (leaf.to("meta") for leaf in leaves_of(inputs))
    attended = factored.attend(q, k, v, tuple(tables), inputs.resolution)
    assert attended.shape == (2, 3, 20, 7)
