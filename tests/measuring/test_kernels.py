"""Which kernel computed an attention, and why the preferred ones did not: on the CPU as it happens."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from aabench.cases.kernels import KERNELS
from aabench.measuring.kernels.attention_call import AttentionCall, calls_of
from aabench.measuring.kernels.kernel_record import record_kernel
from aabench.measuring.kernels.operators import FUSED, kernel_of
from aabench.measuring.kernels.refusals import preferred_kernels, refusals

CPU = torch.device("cpu")


class Attention:
    """A step that calls torch's attention."""

    def __init__(self, q, k, v, inference=False, **options):
        self.inputs, self.options, self.inference = (q, k, v), options, inference

    def run(self):
        with torch.inference_mode(self.inference):
            return F.scaled_dot_product_attention(*self.inputs, **self.options)

    def reset(self):
        pass


class Products(Attention):
    """A step of products and a softmax."""

    def run(self):
        q, k, v = self.inputs
        return (q @ k.mT).softmax(-1) @ v


def qkv(depth=4, value_depth=4, dtype=torch.float32):
    q, k = torch.randn(2, 1, 2, 8, depth, dtype=dtype)
    return q, k, torch.randn(1, 2, 8, value_depth, dtype=dtype)


def mask(**options):
    return torch.zeros(1, 2, 8, 8, **options)


def channels_before_pixels():
    """As a channel-first projection is split: the last dimension is not contiguous."""
    return [torch.randn(1, 2, 4, 8).mT for _ in "qkv"]


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        (qkv(), {}),
        (qkv(dtype=torch.float16), {}),
        (qkv(dtype=torch.float64), {}),
        (qkv(), {"attn_mask": mask()}),
    ],
)
def test_the_fused_cpu_kernel_is_flash_and_nothing_was_refused(inputs, options, inference):
    record = record_kernel(Attention(*inputs, inference=inference, **options), CPU)
    assert (record.kernel, record.refused) == ("flash", None)


@pytest.mark.parametrize(
    ("inputs", "options", "reason"),
    [
        (qkv(), {"attn_mask": mask(requires_grad=True)}, "flash: mask that needs a gradient"),
        (qkv(), {"attn_mask": mask()[0]}, "flash: mask of 3 dimensions, wanted 2 or 4"),
        (qkv(4, 2), {}, "flash: E != Ev: 4 and 2"),
        (
            channels_before_pixels(),
            {},
            "flash: stride: the last one of q, k and v is 8, 8 and 8, wanted 1",
        ),
        (qkv(), {"dropout_p": 0.5}, "flash: dropout 0.5"),
        (
            [*channels_before_pixels()[:2], qkv(4, 2)[2]],
            {"attn_mask": mask(requires_grad=True)},
            "flash: mask that needs a gradient, E != Ev: 4 and 2, "
            "stride: the last one of q, k and v is 8, 8 and 1, wanted 1",
        ),
    ],
)
def test_what_falls_to_math_says_why(inputs, options, reason):
    record = record_kernel(Attention(*inputs, **options), CPU)
    assert record.kernel == "math"
    assert record.refused == reason


def test_arguments_are_heard_by_position_and_by_name():
    q, k, v = qkv(4, 2)
    (by_position,) = calls_of(Attention(q, k, v))

    class Named(Attention):
        def run(self):
            return F.scaled_dot_product_attention(query=q, key=k, value=v, is_causal=False)

    assert calls_of(Named(q, k, v)) == [by_position]
    assert (by_position.key_depth, by_position.value_depth) == (4, 2)


def test_a_kernel_that_the_caller_forbids_is_switched_off():
    class Pinned(Attention):
        def run(self):
            with sdpa_kernel(SDPBackend.MATH):
                return super().run()

    record = record_kernel(Pinned(*qkv()), CPU)
    assert (record.kernel, record.refused) == ("math", "flash: switched off by the caller")


def test_autocast_casts_before_the_kernel_is_chosen():
    class Cast(Attention):
        def run(self):
            with torch.autocast("cpu", torch.bfloat16):
                return super().run()

    (call,) = calls_of(Cast(*qkv()))
    assert call.dtype == torch.bfloat16


def test_several_kernels_are_joined_and_the_last_one_explained():
    class Both(Attention):
        def run(self):
            return super().run() + F.scaled_dot_product_attention(*qkv(4, 4), dropout_p=0.5)

    record = record_kernel(Both(*qkv()), CPU)
    assert (record.kernel, record.refused) == ("flash+math", "flash: dropout 0.5")


def test_products_and_a_softmax_are_a_matmul_and_nothing_else_is():
    assert record_kernel(Products(*qkv()), CPU).kernel == "matmul"

    class Mean(Attention):
        def run(self):
            return self.inputs[2].mean(2)

    assert record_kernel(Mean(*qkv()), CPU).kernel == "other"


@pytest.mark.parametrize(
    ("operators", "kernel"),
    [
        ({"aten::bmm", "## Call CompiledFxGraph f12 ##"}, "inductor"),
        (
            {
                "aten::_scaled_dot_product_flash_attention_for_cpu",
                "## Call CompiledFxGraph f12 ##",
                "aten::bmm",
            },
            "flash",
        ),
        (
            {
                "aten::scaled_dot_product_attention",
                "aten::_scaled_dot_product_attention_math",
                "aten::bmm",
                "aten::_softmax",
            },
            "math",
        ),
        ({"aten::_scaled_dot_product_efficient_attention", "aten::bmm"}, "memory-efficient"),
        ({"aten::_scaled_dot_product_cudnn_attention"}, "cudnn"),
        ({"_TritonAttention", "aten::bmm", "aten::_softmax"}, "triton"),
        ({"aten::bmm"}, "other"),
    ],
)
def test_operators_stand_for_kernels(operators, kernel):
    assert kernel_of(operators) == kernel
    assert set(kernel.split("+")) <= set(KERNELS)
    assert set(FUSED) <= set(KERNELS)


# What a card would say, without one.

ON_CUDA = AttentionCall(
    device_type="cuda",
    dtype=torch.bfloat16,
    key_depth=64,
    value_depth=64,
    capability=(8, 0),
)


def on_cuda(says, **changes):
    return dataclasses.replace(ON_CUDA, torch_says=says, **changes)


@pytest.mark.parametrize(
    ("call", "ran", "reason"),
    [
        (on_cuda({}), "flash", None),
        (on_cuda({"flash": "…"}, mask_dimensions=4), "memory-efficient", "flash: mask"),
        (
            on_cuda({"flash": "…"}, dtype=torch.float32),
            "memory-efficient",
            "flash: dtype float32, wanted float16, bfloat16",
        ),
        (
            on_cuda({"flash": "…"}, key_depth=300, value_depth=300),
            "memory-efficient",
            "flash: depth 300 above 256",
        ),
        (
            on_cuda({"flash": "…", "memory-efficient": "…"}, key_depth=20, value_depth=2),
            "math",
            "flash: E != Ev: 20 and 2; "
            "memory-efficient: alignment: E = 20 and Ev = 2, wanted multiples of 8",
        ),
        (
            on_cuda({"flash": "…"}, dtype=torch.float16, capability=(7, 5)),
            "memory-efficient",
            "flash: architecture sm75, wanted sm80 or newer",
        ),
        (
            on_cuda({"cudnn": "…"}, capability=(9, 0), mask_dimensions=4, learned_mask=True),
            "flash",
            "cudnn: mask that needs a gradient",
        ),
        (
            on_cuda({"flash": "Flash attention kernel not used because of the moon."}),
            "memory-efficient",
            "flash: Flash attention kernel not used because of the moon.",
        ),
        (
            on_cuda({}, switched_off=frozenset({"flash"})),
            "memory-efficient",
            "flash: switched off by the caller",
        ),
    ],
)
def test_refusals_on_cuda_are_torchs_in_the_words_of_a_layer(call, ran, reason):
    assert refusals([call], ran) == reason


def test_what_torch_would_run_is_not_called_refused():
    """The table knows something against flash here, but torch, which was asked, does not."""
    assert refusals([on_cuda({}, mask_dimensions=4)], "memory-efficient") is None


def test_cudnn_comes_first_on_hopper_alone():
    assert preferred_kernels("cuda", (9, 0))[0] == "cudnn"
    assert preferred_kernels("cuda", (8, 6))[0] == "flash"
    assert preferred_kernels("cpu", None) == ("flash",)
    assert preferred_kernels("meta", None) == ()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_card_tells_why():
    q, k, v = (x.to("cuda") for x in qkv(64, 64, torch.float32))
    record = record_kernel(Attention(q, k, v), torch.device("cuda"))
    assert record.kernel == "memory-efficient"
    assert "flash: dtype float32" in record.refused
