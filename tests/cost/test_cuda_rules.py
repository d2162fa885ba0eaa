"""CUDA's rules: the figures of torch's sources, and that more work never needs less memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.case import Case, Layer
from aabench.cost.columns import LayerColumns
from aabench.cost.cuda_kernels import cuda_kernels
from aabench.cost.cuda_rules import (
    INSIDE_PEAK,
    OUTSIDE,
    RESERVED,
    cublas_workspace,
    cuda_lines,
    cudnn_most_bytes,
    layer_cudnn_bytes,
    segment_slack,
)
from aabench.cost.layers import predict_layers

MIB = 2**20


def layer(**changes):
    sizes = {
        "in_channels": 160,
        "out_channels": 160,
        "kernel_size": 3,
        "stride": 1,
        "downsample": 1,
        "heads": 8,
        "dk": 160,
        "dv": 16,
        "position": "relative",
        "height": 32,
        "width": 32,
    }
    return Layer(**{**sizes, **changes})


def columns(*cases, capability=None):
    return LayerColumns.from_cases(cases, "cuda", 2, capability)


@pytest.mark.parametrize(
    ("capability", "size"),
    [((7, 0), 8_519_680), ((8, 9), 8_519_680), ((9, 0), 32 * MIB), ((12, 0), 32 * MIB)],
)
def test_cublas_workspaces_are_those_of_torch(capability, size):
    line = cublas_workspace(capability)
    assert (line.low, line.mid, line.high) == (0, size, size)


@given(st.integers(1, 2**40), st.integers(0, 2**40))
@settings(deadline=None, max_examples=50)
def test_reserved_memory_is_whole_segments_and_grows_with_the_peak(peak, more):
    small, large = segment_slack(peak), segment_slack(peak + more)
    assert (peak + small.low) % (2 * MIB) == 0
    assert 0 <= small.low <= small.mid <= small.high
    assert peak + small.high <= peak + more + large.high


@given(st.lists(st.integers(0, 2**40), min_size=3, max_size=3), st.sampled_from((1, 3, 5)))
@settings(deadline=None, max_examples=30)
def test_cudnn_may_take_at_least_a_copy_of_each_tensor(sizes, kernel_size):
    assert cudnn_most_bytes(*sizes, kernel_size) >= sum(sizes)


def test_every_line_is_ordered_and_says_where_and_why():
    lines = cuda_lines((8, 0), 10**9, 10**7)
    assert len({line.name for line in lines}) == len(lines) == 5
    assert {line.place for line in lines} == {INSIDE_PEAK, RESERVED, OUTSIDE}
    assert all(line.low <= line.mid <= line.high and line.why for line in lines)


def test_the_convolutions_of_a_layer_decide_what_cudnn_may_take():
    plain = Case(layer(dv=0), 2).canonical()
    augmented = Case(layer(), 2, attention="blocked")
    half = Case(layer(), 2, precision="bf16", attention="blocked")
    most = layer_cudnn_bytes(columns(plain, augmented, half))
    pixels = 2 * 32 * 32
    expected = 4 * ((pixels * 320) * 36 // 16 + 160 * 160 * 9 * 4)
    assert most.tolist()[0] == expected
    assert most[1] < most[0] and most[2] * 2 == most[1]


@pytest.mark.parametrize(
    ("form", "precision", "capability", "kernel"),
    [
        ("factored", "bf16", (9, 0), "cudnn"),
        ("factored", "bf16", (8, 9), "flash"),
        ("factored", "amp-fp16", (7, 5), "memory-efficient"),
        ("factored", "fp32", (9, 0), "memory-efficient"),
        ("factored", "bf16", (7, 5), ""),
        ("sdpa-bias", "bf16", (9, 0), "memory-efficient"),
        ("materialized", "bf16", (6, 0), "matmul"),
        ("blocked", "fp32", (8, 0), "matmul"),
        ("triton", "bf16", (8, 0), "triton"),
        ("triton", "bf16", (7, 5), ""),
        ("flex", "fp16", (8, 0), "inductor"),
    ],
)
def test_each_form_gets_the_kernel_of_the_card(form, precision, capability, kernel):
    case = Case(layer(), 1, "train", precision, form).canonical()
    names, refusals = cuda_kernels(columns(case), capability)
    assert names.at(0) == kernel
    assert (0 in refusals) == (kernel == "")


def test_a_plain_convolution_has_no_kernel_and_no_refusal():
    names, refusals = cuda_kernels(columns(Case(layer(dv=0)).canonical()), (7, 0))
    assert names.at(0) == "" and not refusals


def test_values_are_padded_as_the_kernel_of_the_card_wants_them():
    """Flash attention wants v as deep as k; cuDNN, on Hopper, and the other kernel do not."""
    case = Case(layer(), 8, "train", "bf16", "factored").canonical()
    peaks = {
        capability: predict_layers(columns(case, capability=capability))["predicted_peak_bytes"][0]
        for capability in (None, (8, 0), (9, 0))
    }
    assert peaks[None] == peaks[8, 0] > 1.3 * peaks[9, 0]


def test_blocks_on_a_card_are_rounded_to_512_bytes():
    figures = predict_layers(columns(Case(layer(), 1, "train", "fp32", "broadcast").canonical()))
    assert np.all(figures["predicted_peak_bytes"] % 512 == 0)
