"""What one pass of a convolution allocates, against the events of torch's CPU allocator.

Each convolution here stands for a rule of oneDNN's that the closed form once did not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cost.convolution import Convolution
from aabench.cost.convolution_passes import ConvolutionPasses
from aabench.cost.execution import Execution
from aabench.cost.pixel_sums import PixelSums
from aabench.cost.timeline import Timeline
from aabench.measuring.allocation_trace import level_of
from aabench.measuring.cpu_memory import allocation_events

THREADS = 2
ALIGNMENT = 512
"""Bytes that the beginnings of a few buffers may cost; not all of them are told."""

CPU_FILE = Path("/proc/cpuinfo")
CPU_FLAGS = CPU_FILE.read_text().split() if CPU_FILE.exists() else []
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

Sizes = tuple[int, int, int, int, int, int, int]
"""Images, channels of input and output, kernel, stride, height and width."""

on_known_cpu = pytest.mark.skipif(
    "avx512_bf16" not in CPU_FLAGS or "amx_tile" in CPU_FLAGS or torch.__version__ < "2.15",
    reason="these rules are those of torch 2.15's oneDNN for AVX-512 with bfloat16, without AMX",
)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def convolution_of(sizes: Sizes) -> Convolution:
    images, inputs, outputs, kernel, stride, height, width = (np.array([each]) for each in sizes)
    return Convolution(
        images=images,
        in_channels=inputs,
        out_channels=outputs,
        kernel_size=kernel,
        stride=stride,
        height=height,
        width=width,
        is_strided=sizes[4] > 1,
    )


def real_peak(sizes: Sizes, precision: str, what: str, *, channels_last: bool = False) -> int:
    """Most bytes that the allocator handed out for one pass."""
    images, inputs, outputs, kernel, stride, height, width = sizes
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shapes = (
        (images, inputs, height, width),
        (outputs, inputs, kernel, kernel),
        (images, outputs, -(-height // stride), -(-width // stride)),
    )
    x, weight, gradient = (
        torch.randn(shape).to(DTYPES[precision]).to(memory_format=layout) for shape in shapes
    )
    common = ([stride] * 2, [kernel // 2] * 2, [1, 1], False, [0, 0], 1)

    def call() -> object:
        if what == "forward":
            return torch.ops.aten.convolution(x, weight, None, *common)
        wanted = [what == "input", what == "weight", False]
        return torch.ops.aten.convolution_backward(gradient, x, weight, None, *common, wanted)

    call()
    return level_of(allocation_events(call)).peak_bytes


def predicted_peak(sizes: Sizes, precision: str, what: str, *, channels_last: bool = False) -> int:
    memory = Timeline(1)
    execution = Execution("cpu", precision, channels_last, THREADS)
    passes = ConvolutionPasses(convolution_of(sizes), memory, execution, in_steps=True)
    {
        "forward": passes.forward,
        "input": passes.backward_input,
        "weight": passes.backward_weight,
    }[what]()
    return int(memory.peak[0])


@on_known_cpu
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("what", "precision", "sizes"), [
    # Strided: buffers of whole pages of elements; the weight in blocks of 32 or 48 input channels;
    # a border only where the window leaves the image.
    ("input", "fp32", (4, 72, 48, 3, 2, 30, 30)),
    ("input", "fp32", (4, 96, 200, 1, 2, 14, 14)),
    ("input", "fp32", (3, 64, 192, 5, 2, 22, 20)),
    ("input", "bf16", (4, 64, 400, 1, 2, 32, 30)),
    ("input", "bf16", (4, 48, 135, 3, 2, 30, 28)),
    # Half precision 1x1: threads share one image by pixels or by channels.
    ("forward", "bf16", (1, 256, 240, 1, 1, 19, 28)),
    ("forward", "bf16", (1, 256, 80, 1, 2, 22, 32)),
    ("forward", "bf16", (1, 100, 400, 1, 1, 17, 31)),
    ("input", "bf16", (1, 512, 64, 1, 1, 20, 15)),
    # Single precision: sums of all threads but one, where these have different images.
    ("weight", "fp32", (8, 20, 20, 3, 2, 16, 15)),
    ("weight", "fp32", (8, 128, 192, 1, 1, 16, 40)),
    ("weight", "fp32", (4, 100, 8, 3, 1, 25, 24)),
    # Less than a group of channels with a stride that leaves pixels over: not a 1x1 kernel's.
    ("forward", "fp32", (3, 8, 48, 1, 2, 27, 23)),
    ("forward", "bf16", (3, 3, 192, 1, 2, 19, 29)),
    ("weight", "fp32", (3, 3, 100, 1, 2, 39, 13)),
    ("weight", "fp32", (4, 12, 100, 3, 2, 38, 20)),
    ("weight", "bf16", (8, 12, 20, 1, 2, 25, 28)),
])  # fmt: skip
def test_a_pass_takes_what_is_predicted(what: str, precision: str, sizes: Sizes) -> None:
    assert predicted_peak(sizes, precision, what) == pytest.approx(
        real_peak(sizes, precision, what), rel=2e-3, abs=ALIGNMENT
    )


@on_known_cpu
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rows_that_the_stride_does_not_divide(precision: str, channels_last: bool) -> None:
    """They are made in buffers of their own; how long these are depends on the CPU's caches a little."""
    sizes = (1, 100, 224, 1, 2, 33, 23)
    expected = real_peak(sizes, precision, "input", channels_last=channels_last)
    predicted = predicted_peak(sizes, precision, "input", channels_last=channels_last)
    assert predicted == pytest.approx(expected, rel=0.04)


@settings(deadline=None, max_examples=40)
@given(
    images=st.integers(1, 9),
    groups=st.integers(1, 40),
    summands=st.integers(1, 40),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    threads=st.integers(1, 40),
)
def test_pixel_sums_hold_an_image_of_results(
    images: int, groups: int, summands: int, height: int, width: int, threads: int
) -> None:
    """All threads together have room for one image; with an image each, for one each."""
    channels, pixels = 16 * groups, height * width
    sums = PixelSums(
        images=np.array([images]),
        channels=np.array([channels]),
        summands=np.array([16 * summands]),
        height=np.array([height]),
        pixels=np.array([pixels]),
        threads=threads,
    )
    size = int(sums.size()[0])
    assert size >= channels * pixels * 4
    if images >= threads:
        assert size >= threads * channels * pixels * 4
