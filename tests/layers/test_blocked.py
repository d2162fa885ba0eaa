"""What is particular to the form `blocked`: blocks of any size, one buffer, half precision, one backward."""

import itertools
import math

import pytest
import torch
from functorch.compile import make_boxed_func
from hypothesis import given, settings
from hypothesis import strategies as st
from random_attention import random_inputs
from torch._dynamo.backends.common import aot_autograd
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from aabench.errors import UnsupportedCase, UsageError
from aabench.layers.attention import blocked, materialized
from aabench.layers.attention.blocked_tiles import Tiling
from aabench.layers.attention_inputs import AttentionInputs
from aabench.layers.reference import reference_rows
from aabench.measuring.allocation_trace import level_of
from aabench.measuring.cpu_memory import allocation_events

# Sums of at most a hundred float64 products of unit size.
EXACT = {"rtol": 1e-13, "atol": 1e-13}


def leaves_of(inputs):
    return [*inputs[:3], *(inputs.tables or ())]


def results_of(attend, inputs, start, **options):
    """The output and the gradients of all inputs, which the output's gradient ``start`` gives."""
    attended = attend(*inputs, **options)
    return [attended, *torch.autograd.grad(attended, leaves_of(inputs), start.to(attended.dtype))]


def in_double(inputs):
    """The same numbers, so that the reference's gradients are not rounded."""
    q, k, v, *tables = (leaf.detach().double().requires_grad_() for leaf in leaves_of(inputs))
    return AttentionInputs(q, k, v, tuple(tables) or None, inputs.resolution)


def smallest_buffer(inputs):
    """What one query takes in a block, with its gradients: logits, offsets, and its channels."""
    height, width = inputs.resolution
    channels = inputs.q.shape[-1] + inputs.v.shape[-1]
    itemsize = max(4, inputs.q.dtype.itemsize)
    return 2 * itemsize * (height * width + 2 * (height + width) - 2 + 2 * channels)


def row_major(inputs):
    q, k, v = (tensor.detach().contiguous().requires_grad_() for tensor in inputs[:3])
    return inputs._replace(q=q, k=k, v=v)


def with_gaps(inputs):
    """Every second channel and every second head of larger tensors."""

    def spread(tensor):
        larger = tensor.detach().repeat_interleave(2, 1).repeat_interleave(2, 3)
        return larger[:, ::2, :, ::2].requires_grad_()

    q, k, v = map(spread, inputs[:3])
    return inputs._replace(q=q, k=k, v=v)


@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    resolution=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    depths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    tables=st.booleans(),
    queries=st.integers(1, 60),
    threads=st.integers(1, 3),
    layout=st.sampled_from([lambda inputs: inputs, row_major, with_gaps]),
)
@settings(deadline=None, max_examples=60)
def test_blocks_of_any_size_equal_the_reference(
    batch, heads, resolution, depths, tables, queries, threads, layout
):
    inputs = layout(
        random_inputs(batch, heads, resolution, *depths, tables=tables, requires_grad=True)
    )
    start = torch.randn(batch, heads, math.prod(resolution), depths[1], dtype=torch.float64)
    expected = results_of(reference_rows, inputs, start)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        buffer_bytes = queries * smallest_buffer(inputs)
        actual = results_of(blocked.attend, inputs, start, buffer_bytes=buffer_bytes)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(actual, expected, **EXACT)


@given(
    batch=st.integers(1, 5),
    heads=st.integers(1, 5),
    resolution=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    queries=st.integers(1, 500),
    threads=st.integers(1, 70),
)
@settings(deadline=None)
def test_every_query_is_in_one_block_and_no_block_too_large(
    batch, heads, resolution, queries, threads
):
    tiling = Tiling.largest(batch, heads, resolution, queries=queries, threads=threads)
    visits = torch.zeros(batch, heads, math.prod(resolution), dtype=torch.int)
    sizes = []
    for (images, some_heads), tile in itertools.product(tiling.head_blocks(), tiling.tiles()):
        block = visits[images, some_heads, tile.pixels]
        block += 1
        sizes.append(block.shape)
        assert block.numel() <= queries
        assert tile.size == block.shape[-1]
    assert (visits == 1).all()
    largest = sizes[0]
    assert all(size <= most for shape in sizes for size, most in zip(shape, largest, strict=True))


def test_no_images_have_no_attention_and_no_gradients():
    inputs = random_inputs(0, 2, (3, 4), 5, 2, requires_grad=True)
    attended, *gradients = results_of(blocked.attend, inputs, torch.empty(0, 2, 12, 2))
    assert attended.shape == (0, 2, 12, 2)
    assert [gradient.shape for gradient in gradients] == [leaf.shape for leaf in leaves_of(inputs)]
    assert all((gradient == 0).all() for gradient in gradients)


def test_a_buffer_for_everything_is_one_block():
    tiling = Tiling.largest(4, 8, (5, 6), queries=4 * 8 * 30, threads=2)
    assert len(list(tiling.head_blocks())) == len(list(tiling.tiles())) == 1


@pytest.mark.parametrize("resolution", [(3, 4), (1, 5), (5, 1), (1, 1)])
@pytest.mark.parametrize("tables", [True, False])
def test_gradcheck(resolution, tables):
    inputs = random_inputs(2, 2, resolution, 3, 2, tables=tables, requires_grad=True)

    def attend(q, k, v, *tables):
        buffer_bytes = 3 * smallest_buffer(inputs)
        return blocked.attend(q, k, v, tables or None, resolution, buffer_bytes=buffer_bytes)

    assert torch.autograd.gradcheck(attend, leaves_of(inputs), fast_mode=True)


@pytest.mark.parametrize("needed", [(0,), (1,), (2,), (3,), (4,), (0, 2), (1, 3, 4)])
def test_gradients_of_some_inputs_only(needed):
    inputs = random_inputs(2, 2, (3, 4), 5, 2, requires_grad=True)
    start = torch.randn(2, 2, 12, 2, dtype=torch.float64)
    expected = results_of(reference_rows, inputs, start)[1:]
    detached = [leaf.detach() for leaf in leaves_of(inputs)]
    for index in needed:
        detached[index].requires_grad_()
    q, k, v, *tables = detached
    blocked.attend(q, k, v, tuple(tables), inputs.resolution).backward(start)
    for index, (leaf, gradient) in enumerate(zip(detached, expected, strict=True)):
        if index in needed:
            torch.testing.assert_close(leaf.grad, gradient, **EXACT)
        else:
            assert leaf.grad is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_the_results_and_nothing_else(dtype):
    inputs = random_inputs(1, 2, (8, 8), 16, 4, dtype=dtype, requires_grad=True)
    start = torch.randn(1, 2, 64, 4).to(dtype)
    actual = results_of(blocked.attend, inputs, start)
    exact = results_of(reference_rows, in_double(inputs), start)
    names = ("output", "q", "k", "v", "height", "width")
    for name, value, expected in zip(names, actual, exact, strict=True):
        assert value.dtype == dtype
        # Rounding to the nearest is off by half an epsilon, float32 inside by far less.
        rounding = torch.finfo(dtype).eps / 2 * expected.abs() + torch.finfo(dtype).tiny
        inside = 64 * torch.finfo(torch.float32).eps * expected.abs().max()
        assert ((value.double() - expected).abs() <= rounding + inside).all(), name


def test_half_precision_is_more_accurate_than_the_full_map():
    inputs = random_inputs(2, 2, (8, 8), 20, 4, dtype=torch.bfloat16)
    exact = reference_rows(*inputs)

    def error(attend):
        return (attend(*inputs).double() - exact).norm()

    assert error(blocked.attend) < error(materialized.attend) / 2


def test_half_precision_with_single_precision_tables():
    """As autocast hands them over: the convolution's output is half, a parameter is not."""
    inputs = random_inputs(2, 2, (3, 4), 5, 2, dtype=torch.float32, requires_grad=True)
    q, k, v = (x.detach().bfloat16().requires_grad_() for x in inputs[:3])
    mixed = AttentionInputs(q, k, v, inputs.tables, inputs.resolution)
    start = torch.randn(2, 2, 12, 2, dtype=torch.bfloat16)
    actual = results_of(blocked.attend, mixed, start)
    assert [x.dtype for x in actual] == [torch.bfloat16] * 4 + [torch.float32] * 2
    expected = results_of(reference_rows, in_double(mixed), start)
    for value, exact in zip(actual, expected, strict=True):
        rtol = torch.finfo(value.dtype).eps
        torch.testing.assert_close(value.double(), exact, rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("backward_inside", [True, False])
def test_autocast_leaves_the_blocks_alone(backward_inside):
    inputs = random_inputs(1, 2, (4, 4), 5, 2, dtype=torch.float32, requires_grad=True)
    start = torch.randn(1, 2, 16, 2)
    expected = results_of(blocked.attend, inputs, start)
    with torch.autocast("cpu", torch.bfloat16):
        attended = blocked.attend(*inputs)
        if backward_inside:
            gradients = torch.autograd.grad(attended, leaves_of(inputs), start)
    if not backward_inside:
        gradients = torch.autograd.grad(attended, leaves_of(inputs), start)
    torch.testing.assert_close([attended, *gradients], expected, rtol=0, atol=0)


def test_checkpointing():
    inputs = random_inputs(2, 2, (3, 4), 5, 2, requires_grad=True)
    start = torch.randn(2, 2, 12, 2, dtype=torch.float64)

    def attend(*arguments):
        return checkpoint(blocked.attend, *arguments, use_reentrant=False)

    torch.testing.assert_close(
        results_of(attend, inputs, start),
        results_of(blocked.attend, inputs, start),
        rtol=0,
        atol=0,
    )


def test_the_same_step_gives_the_same_bits():
    inputs = random_inputs(2, 3, (6, 5), 7, 3, dtype=torch.float32, requires_grad=True)
    start = torch.randn(2, 3, 30, 3)
    options = {"buffer_bytes": 20 * smallest_buffer(inputs)}
    first, second = (results_of(blocked.attend, inputs, start, **options) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_only_the_inputs_are_saved():
    inputs = random_inputs(2, 2, (4, 5), 5, 2, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        blocked.attend(*inputs)
    known = {leaf.data_ptr() for leaf in leaves_of(inputs)}
    assert {tensor.data_ptr() for tensor in saved} == known


def test_a_second_derivative_is_refused_by_name():
    inputs = random_inputs(1, 2, (2, 3), 4, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        blocked.attend(*inputs).square().sum(), [inputs.q], create_graph=True
    )
    assert gradient.isfinite().all()
    with pytest.raises(UnsupportedCase, match=r"blocked.*second derivatives.*broadcast"):
        gradient.sum().backward()


@pytest.mark.parametrize("tables", [True, False])
def test_compiled_it_is_one_operation(tables):
    """However many blocks there are: forward and backward, with all their gradients."""
    inputs = random_inputs(2, 2, (3, 4), 5, 2, tables=tables, requires_grad=True)
    start = torch.randn(2, 2, 12, 2, dtype=torch.float64)
    calls = []

    def backend(graph, example_inputs):
        calls.append(sum("blocked_attention" in str(node.target) for node in graph.graph.nodes))
        return make_boxed_func(graph.forward)

    torch.compiler.reset()
    compiled = torch.compile(
        blocked.attend,
        fullgraph=True,
        backend=aot_autograd(fw_compiler=backend),
    )
    options = {"buffer_bytes": 2 * smallest_buffer(inputs)}
    torch.testing.assert_close(
        results_of(compiled, inputs, start, **options),
        results_of(blocked.attend, inputs, start, **options),
        rtol=0,
        atol=0,
    )
    assert calls == [1, 1]


def test_compiled_results_are_laid_out_as_promised():
    inputs = random_inputs(2, 2, (3, 4), 5, 2, dtype=torch.bfloat16)
    tensors, sizes = leaves_of(inputs), (3, 4, 2**20)
    torch.library.opcheck(blocked._opaque_forward, (tensors, sizes))
    start = torch.randn(2, 2, 12, 2, dtype=torch.bfloat16)
    for needed in (
        [True] * 5,
        [False, False, True, False, False],
        [True, False, True, False, True],
    ):
        torch.library.opcheck(blocked._opaque_backward, (start, tensors, sizes, needed))


def peak_bytes(side, buffer_bytes, *, train):
    inputs = random_inputs(1, 2, (side, side), 8, 4, dtype=torch.float32, requires_grad=train)
    start = torch.randn(1, 2, side * side, 4)

    def step():
        with torch.set_grad_enabled(train):
            attended = blocked.attend(*inputs, buffer_bytes=buffer_bytes)
        if train:
            torch.autograd.grad(attended, leaves_of(inputs), start)

    step()
    return level_of(allocation_events(step)).peak_bytes


@pytest.mark.parametrize("train", [True, False])
def test_memory_beyond_the_buffer_grows_with_the_pixels(train):
    """16 times the map, but less than 8 times the memory; the buffer is there once."""
    buffer_bytes = 2**18
    small, large = (peak_bytes(side, buffer_bytes, train=train) for side in (20, 40))
    assert large - buffer_bytes < 8 * max(small - buffer_bytes, 4 * 20 * 20 * 2 * 8)
    a_map = 2 * (40 * 40) ** 2 * 4
    assert large < a_map / 10


def test_the_buffer_is_a_bound():
    """What does not depend on the buffer aside, a step takes all of it at most."""
    beside = peak_bytes(24, 2**16, train=True)
    for buffer_bytes in (2**18, 2**20, 2**22):
        used = peak_bytes(24, buffer_bytes, train=True)
        assert buffer_bytes / 2 < used < beside + buffer_bytes


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("resolution", [(4, 4), (3, 5), (1, 7)])
def test_macs_are_those_of_the_formula(resolution, tables):
    """On meta: the forward's, then once more the logits', then twice the forward's."""
    batch, heads, key_depth, value_depth = 2, 3, 5, 7
    inputs = random_inputs(
        batch, heads, resolution, key_depth, value_depth, tables=tables, requires_grad=True
    )
    on_meta = [leaf.detach().to("meta").requires_grad_() for leaf in leaves_of(inputs)]
    q, k, v, *moved = on_meta
    with FlopCounterMode(display=False) as forward:
        attended = blocked.attend(q, k, v, tuple(moved) or None, resolution)
    with FlopCounterMode(display=False) as backward:
        attended.sum().backward()
    N, dk, dv = math.prod(resolution), heads * key_depth, heads * value_depth
    logits = N * N * dk + (N * dk * (2 * sum(resolution) - 2) if tables else 0)
    values = N * N * dv
    assert forward.get_total_flops() == 2 * batch * (logits + values)
    assert backward.get_total_flops() == 2 * batch * (logits + 2 * (logits + values))


def test_a_buffer_too_small_for_one_query_is_refused():
    inputs = random_inputs(1, 2, (4, 5), 6, 3)
    enough = smallest_buffer(inputs)
    torch.testing.assert_close(
        blocked.attend(*inputs, buffer_bytes=enough), reference_rows(*inputs), **EXACT
    )
    for buffer_bytes in (0, -1, enough - 1):
        with pytest.raises(UsageError, match=f"at least {enough} bytes at 4x5"):
            blocked.attend(*inputs, buffer_bytes=buffer_bytes)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float8_e4m3fn, torch.complex64])
def test_other_data_types_are_refused(dtype):
    q, k, v, tables, resolution = random_inputs(1, 1, (2, 2), 4, 2)
    with pytest.raises(UnsupportedCase, match="blocked: an input is torch"):
        blocked.attend(q, k, v.to(dtype), tables, resolution)


def test_tables_and_pixels_of_another_resolution_are_refused():
    q, k, v, tables, _ = random_inputs(1, 1, (4, 3), 4, 2)
    with pytest.raises(UsageError, match="do not belong to the resolution"):
        blocked.attend(q, k, v, tables, (3, 4))
    with pytest.raises(UsageError, match="do not belong to the resolution"):
        blocked.attend(q, k, v, None, (4, 4))
