"""CUDA's rules: what a card needs beside the tensors of a step, each as a line of its own.

They are read off torch's sources and other people's reports: nobody has checked them here on a card.
Of the other rules, rounding to 512 bytes is in ``aabench.cost.timeline`` and the choice of fused
kernels in ``aabench.cost.cuda_kernels``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aabench.cases.card import Capability
from aabench.cost.columns import Column, LayerColumns
from aabench.cost.execution import ITEM_SIZES
from aabench.cost.rounding import padded_to, parts_of

MIB = 2**20

INSIDE_PEAK = "inside the allocated peak"
RESERVED = "reserved by the allocator, not allocated"
OUTSIDE = "outside torch's allocator"

SMALL_SEGMENT = 2 * MIB
"""Blocks of up to 1 MiB are cut from segments of this size (torch's c10/core/AllocatorConfig.h)."""

LARGE_SEGMENT = 20 * MIB
"""Those of up to 10 MiB from segments of this size; larger ones get their own, in whole 2 MiB."""

FRAGMENTATION = 0.05
"""The largest share of reserved memory left unused in the out-of-memory messages that were looked at:
0.4 of 18.9 GiB, 0.5 of 22.2, 1.0 of 20.7, 0.02 of 30.8 and 0.04 of 44.0."""


@dataclass(frozen=True, slots=True, eq=False)
class CudaLine:
    """One need of a card beside a step's tensors.

    Attributes:
        name: such as ``cuBLAS workspace``.
        low: bytes at the least; a number, or a column with one per case, as all three.
        mid: bytes to expect.
        high: bytes at the most.
        place: ``INSIDE_PEAK``, ``RESERVED`` or ``OUTSIDE``.
        why: the rule, in one sentence.
    """

    name: str
    low: Column | int
    mid: Column | int
    high: Column | int
    place: str
    why: str


def cuda_lines(
    capability: Capability, peak_bytes: Column | int, cudnn_bytes: Column | int
) -> tuple[CudaLine, ...]:
    """All needs of a card beside a step's tensors.

    Args:
        capability: of the card.
        peak_bytes: the step's allocated peak, workspaces included: its segments follow from it.
        cudnn_bytes: what cuDNN may take at the most, by ``cudnn_most_bytes``.
    """
    return (
        cublas_workspace(capability),
        cublaslt_workspace(),
        cudnn_workspace(cudnn_bytes),
        segment_slack(peak_bytes),
        cuda_context(),
    )


def cublas_workspace(capability: Capability) -> CudaLine:
    """What torch allocates for cuBLAS: 32 MiB on sm9x, sm10x and sm12x, else 8.125 MiB.

    From ``parseChosenWorkspaceSize`` in aten/src/ATen/cuda/CublasHandlePool.cpp, unless
    CUBLAS_WORKSPACE_CONFIG says otherwise.
    """
    size = 32 * MIB if capability[0] in (9, 10, 12) else 2 * 4 * MIB + 8 * 16 * 1024
    return CudaLine(
        "cuBLAS workspace",
        0,
        size,
        size,
        INSIDE_PEAK,
        "allocated at the first product and kept, or, in torch 2.15, given to each product in turn",
    )


def cublaslt_workspace() -> CudaLine:
    """What torch allocates for cuBLASLt: nothing where it shares cuBLAS' workspace, else 1 MiB.

    From ``parseCUDABlasLtWorkspaceSize`` in the same file.
    """
    return CudaLine(
        "cuBLASLt workspace",
        0,
        0,
        MIB,
        INSIDE_PEAK,
        "shared with cuBLAS where workspaces are kept, else 1 MiB during a product",
    )


def cudnn_workspace(most_bytes: Column | int) -> CudaLine:
    """What cuDNN takes during a convolution: nothing, or up to what its largest algorithm needs."""
    return CudaLine(
        "cuDNN workspace",
        0,
        0,
        most_bytes,
        INSIDE_PEAK,
        "cuDNN chooses an algorithm when it runs; only the most that one may take is known, and "
        "that it is given back before the step's peak is likely",
    )


def cudnn_most_bytes(
    inputs: Column | int, outputs: Column | int, weights: Column | int, kernel_size: Column | int
) -> Column:
    """The most that an algorithm of cuDNN may take for one pass of a convolution, in bytes.

    Tensor cores want channels innermost and copy all three tensors. Winograd's F(4x4, 3x3), where the
    kernel is 3x3, keeps 6 x 6 numbers for each 4 x 4 of input and of output, and for each 3 x 3 weights
    (Lavin and Gray 2016). Explicit unfolding is not taken into account: it is never the fastest.

    Args:
        inputs: bytes of the input batch.
        outputs: bytes of the output batch.
        weights: bytes of the weight.
        kernel_size: side of the kernel.
    """
    copies = inputs + outputs + weights
    winograd = (inputs + outputs) * 36 // 16 + weights * 36 // 9
    return np.where(np.equal(kernel_size, 3), winograd, copies)


def segment_slack(peak_bytes: Column | int) -> CudaLine:
    """What the allocator reserves beyond what is allocated at the peak."""
    peak = np.asarray(peak_bytes)
    least = padded_to(peak, SMALL_SEGMENT) - peak
    partly = SMALL_SEGMENT + LARGE_SEGMENT
    return CudaLine(
        "segment slack",
        least,
        least + partly // 2,
        least + partly + parts_of(peak, round(1 / FRAGMENTATION)),
        RESERVED,
        "segments come in whole 2 MiB, one of each kind is partly filled, and freed blocks leave holes",
    )


def cuda_context() -> CudaLine:
    """What the driver and loaded kernels take in every process that uses the card.

    Reported with lazily loaded kernels: 256 MiB (RTX 3090, torch 2.7), 300 to 400 (torch 2.0), 426
    (RTX 6000 Ada, torch 2.10 with CUDA 13). It grows with each kernel that is loaded.
    """
    return CudaLine(
        "CUDA context",
        256 * MIB,
        448 * MIB,
        768 * MIB,
        OUTSIDE,
        "driver structures and the kernels loaded so far; by driver and torch, not by case",
    )


def layer_cudnn_bytes(layers: LayerColumns) -> Column:
    """The most that cuDNN may take in any convolution of each layer, in bytes."""
    step = layers.stride * layers.downsample
    out_pixels = parts_of(layers.height, layers.stride) * parts_of(layers.width, layers.stride)
    tokens = parts_of(layers.height, step) * parts_of(layers.width, step)
    convolved_channels = layers.out_channels - layers.dv
    convolved = cudnn_most_bytes(
        layers.batch * layers.in_channels * layers.height * layers.width,
        layers.batch * convolved_channels * out_pixels,
        layers.in_channels * convolved_channels * layers.kernel_size**2,
        layers.kernel_size,
    )
    projected_channels = 2 * layers.dk + layers.dv
    projected = cudnn_most_bytes(
        layers.batch * layers.in_channels * tokens,
        layers.batch * projected_channels * tokens,
        layers.in_channels * projected_channels,
        1,
    )
    elements = np.where(convolved_channels > 0, convolved, 0)
    elements = np.maximum(elements, np.where(layers.dv > 0, projected, 0))
    sizes = np.array([ITEM_SIZES[name][1] for name in layers.precision.names])
    return np.asarray(elements * sizes[layers.precision.codes])
