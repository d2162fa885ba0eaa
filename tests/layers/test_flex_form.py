"""The form `flex`: numbers on the CPU without gradients and on a card, and no silent full map."""

import functools

import pytest
import torch
from form_errors import relative_errors
from random_attention import random_inputs
from torch._subclasses.fake_tensor import FakeTensorMode

from aabench.errors import UnsupportedCase
from aabench.layers.attention import flex
from aabench.layers.attention_inputs import AttentionInputs
from aabench.layers.reference import reference_rows

# In epsilons of the data type: as `triton`'s, and the compiled exponential is a less accurate one.
LARGEST_ERROR = {torch.float16: 4, torch.bfloat16: 4, torch.float32: 64}

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def traced_only(monkeypatch):
    """Compile without generating code, which takes seconds a case, and forget it afterwards."""
    flex._compiled.cache_clear()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    yield
    flex._compiled.cache_clear()
    torch.compiler.reset()


def output_error(inputs: AttentionInputs) -> float:
    expected = reference_rows(*inputs)
    actual = flex.attend(*inputs)
    assert actual.shape == expected.shape
    assert actual.dtype == inputs.q.dtype
    error = (actual.double() - expected).abs().max() / max(1.0, expected.abs().max())
    return error.item() / torch.finfo(actual.dtype).eps


def test_inference_on_the_cpu_equals_the_reference():
    inputs = random_inputs(2, 2, (5, 7), 20, 2, dtype=torch.float32)
    assert output_error(inputs) <= LARGEST_ERROR[torch.float32]


def test_no_grad_is_enough_for_the_cpu(traced_only):
    inputs = random_inputs(1, 2, (3, 4), 4, 4, dtype=torch.float32, requires_grad=True)
    with torch.no_grad():
        assert output_error(inputs) <= LARGEST_ERROR[torch.float32]


@pytest.mark.parametrize("wanted", range(5))
def test_training_on_the_cpu_is_refused(wanted):
    q, k, v, tables, resolution = random_inputs(1, 1, (2, 2), 4, 4, dtype=torch.float32)
    (q, k, v, *tables)[wanted].requires_grad_()
    with pytest.raises(UnsupportedCase, match="flex: FlexAttention has no backward pass"):
        flex.attend(q, k, v, tuple(tables), resolution)


@torch._dynamo.config.patch(recompile_limit=3)
def test_more_cases_than_torch_keeps_of_one_function_all_compile(traced_only):
    limit = torch._dynamo.config.recompile_limit
    for width in range(1, limit + 3):
        for tables in (True, False):
            inputs = random_inputs(1, 1, (2, width), 4, 4, tables=tables, dtype=torch.float32)
            assert output_error(inputs) <= LARGEST_ERROR[torch.float32]
    assert flex._compiled.cache_info().currsize > limit


def test_a_case_is_compiled_once(traced_only):
    for _ in range(3):
        flex.attend(*random_inputs(1, 1, (2, 3), 4, 4, dtype=torch.float32))
    assert flex._compiled.cache_info().misses == 1


def test_uncompiled_it_refuses():
    inputs = random_inputs(1, 1, (3, 3), 4, 4, dtype=torch.float32)
    flex._compiled.cache_clear()
    with (
        torch.compiler.set_stance("force_eager"),
        pytest.raises(UnsupportedCase, match=r"flex: .* uncompiled it stores the full map"),
    ):
        flex.attend(*inputs)


def test_what_fails_to_compile_is_refused_with_the_reason(monkeypatch):
    def broken(graph, example_inputs):
        raise RuntimeError("no kernel for this")

    flex._compiled.cache_clear()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=broken))
    with pytest.raises(UnsupportedCase, match=r"torch.compile fails on this case: .*no kernel"):
        flex.attend(*random_inputs(1, 1, (2, 5), 4, 4, dtype=torch.float32))
    flex._compiled.cache_clear()


def test_inside_a_compiled_function_it_is_compiled_by_itself_on_the_cpu(traced_only):
    """As part of a graph that makes its logits, FlexAttention's CPU code does not compile."""
    inputs = random_inputs(1, 2, (3, 4), 4, 4, dtype=torch.float32)
    compiled = torch.compile(lambda *a: flex.attend(*a) * 2)
    torch.testing.assert_close(
        compiled(*inputs).double(), 2 * reference_rows(*inputs), rtol=1e-5, atol=1e-5
    )
    assert flex._compiled.cache_info().misses == 1


def test_what_it_cannot_run_it_refuses_by_name():
    with pytest.raises(UnsupportedCase, match=r"flex: the data type must be one of .*float64"):
        flex.attend(*random_inputs(1, 1, (2, 2), 4, 4))
    mixed = random_inputs(1, 1, (2, 2), 4, 4, dtype=torch.float32)
    with pytest.raises(UnsupportedCase, match="one data type"):
        flex.attend(*mixed._replace(v=mixed.v.half()))
    with pytest.raises(UnsupportedCase, match="got device meta"):
        flex.attend(
            *(x.to("meta") for x in mixed[:3]), tuple(x.to("meta") for x in mixed.tables), (2, 2)
        )
    with FakeTensorMode(), pytest.raises(UnsupportedCase, match="fake tensors"):
        flex.attend(*random_inputs(1, 1, (2, 2), 4, 4, dtype=torch.float32))


# On a card.

SHAPES_ON_A_CARD = {
    "published 14": (2, 8, (14, 14), 20, 2, True),
    "padded keys": (2, 4, (28, 28), 20, 3, True),
    "one row": (2, 3, (1, 70), 5, 1, True),
    "one column": (2, 3, (70, 1), 1, 5, True),
    "deep": (1, 2, (9, 11), 64, 128, True),
    "no positions": (2, 4, (15, 13), 20, 2, False),
}


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("dtype", list(LARGEST_ERROR), ids=str)
@pytest.mark.parametrize("shape", SHAPES_ON_A_CARD.values(), ids=SHAPES_ON_A_CARD.keys())
def test_output_and_gradients_equal_the_reference_on_a_card(shape, dtype):
    *sizes, tables = shape
    q, k, v, tables, resolution = random_inputs(*sizes, tables=tables, dtype=dtype)
    q, k, v = (x.detach().to("cuda").requires_grad_() for x in (q, k, v))
    if tables is not None:
        tables = tuple(x.detach().to("cuda").requires_grad_() for x in tables)
    errors = relative_errors(flex.attend, AttentionInputs(q, k, v, tables, resolution))
    assert max(errors.values()) <= LARGEST_ERROR[dtype], errors
