"""The kernel probe: which kernels of scaled_dot_product_attention really run on a device, and for what.

Each kernel is allowed alone, and the backward node of its result says whether it was the one that
ran. That works alike on every device, and without a profiler.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

KERNELS = {
    "flash": (SDPBackend.FLASH_ATTENTION, "ScaledDotProductFlashAttention"),
    "efficient": (SDPBackend.EFFICIENT_ATTENTION, "ScaledDotProductEfficientAttention"),
    "cudnn": (SDPBackend.CUDNN_ATTENTION, "ScaledDotProductCudnnAttention"),
    "math": (SDPBackend.MATH, None),
}
"""By name: what to allow, and how the backward node of its result begins. The math kernel is made of
ordinary operations and has no node of its own."""

USES = ("no mask", "constant mask", "learned mask")
"""Attention without positions; with position logits in inference; with position logits in training."""

SHAPE = (1, 2, 64, 64)
"""(B, Nh, N, d): as small as no kernel refuses."""


@dataclass(frozen=True, slots=True)
class KernelTrial:
    """One kernel tried for one use, forward and backward.

    Attributes:
        device: of torch.
        kernel: a name of ``KERNELS``.
        use: one of ``USES``.
        problem: why it did not run; None if it did.

    """

    device: str
    kernel: str
    use: str
    problem: str | None = None


def try_kernels(device: torch.device) -> list[KernelTrial]:
    """Try every kernel for every use.

    Half precision on CUDA, where the fused kernels want it; single precision elsewhere.
    """
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    return [
        KernelTrial(str(device), kernel, use, _problem(kernel, use, device, dtype))
        for kernel in KERNELS
        for use in USES
    ]


def _problem(kernel: str, use: str, device: torch.device, dtype: torch.dtype) -> str | None:
    q, k, v = (torch.randn(SHAPE, device=device, dtype=dtype, requires_grad=True) for _ in range(3))
    mask = None
    if use != "no mask":
        size = (*SHAPE[:2], SHAPE[2], SHAPE[2])
        learned = use == "learned mask"
        mask = torch.zeros(size, device=device, dtype=dtype, requires_grad=learned)
    backend, node = KERNELS[kernel]
    with warnings.catch_warnings(record=True) as reasons, sdpa_kernel(backend):
        warnings.simplefilter("always")
        try:
            attended = scaled_dot_product_attention(q, k, v, attn_mask=mask)
            attended.sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        except RuntimeError as error:
            said = [_line(error), *(_line(reason.message) for reason in reasons)]
            return "; ".join(line for line in said if not line.endswith(":"))
    ran = next(filter(lambda name: name.startswith("ScaledDotProduct"), _nodes(attended)), None)
    if (ran is None) == (node is None) and (node is None or str(ran).startswith(node)):
        return None
    return f"{ran or 'the math kernel'} ran instead"


def _nodes(tensor: Tensor) -> Iterator[str]:
    """The names of the backward nodes that lead to a tensor, nearest first."""
    waiting, seen = [tensor.grad_fn], set()
    for node in waiting:
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node.name()
        waiting.extend(before for before, _ in node.next_functions)


def _line(message: object) -> str:
    """What torch says, without the place in its source that it was said at."""
    return " ".join(str(message).partition(" (Triggered internally")[0].split())
