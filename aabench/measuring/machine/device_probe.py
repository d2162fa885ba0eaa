"""The device probe: a convolution whose result is known, forward and backward, compiled if asked."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d

CHANNELS, SIDE, KERNEL = 4, 8, 3


def convolve(device: torch.device) -> None:
    """Run a small convolution of ones on a device.

    Every sum is a small whole number, so the answer is exact in any precision.

    Raises:
        RuntimeError: the device cannot be used.
        ArithmeticError: it computed something else.

    """
    x = torch.ones(1, CHANNELS, SIDE, SIDE, device=device)
    weight = torch.ones(CHANNELS, CHANNELS, KERNEL, KERNEL, device=device, requires_grad=True)
    y = conv2d(x, weight)
    y.sum().backward()
    gradient = weight.grad
    terms, positions = CHANNELS * KERNEL**2, (SIDE - KERNEL + 1) ** 2
    if gradient is None or not bool((y == terms).all() and (gradient == positions).all()):
        raise ArithmeticError("a convolution of ones gave wrong numbers")


def compile_seconds(device: torch.device) -> float:
    """Seconds that torch.compile takes for a very small function, caches left aside by the caller.

    Raises:
        Exception: whatever torch.compile raises where it cannot compile.
        ArithmeticError: the compiled function computed something else.

    """
    x = torch.arange(32, dtype=torch.float32, device=device)
    compiled: Callable[[Tensor], Tensor] = torch.compile(_double_and_cut)
    start = time.perf_counter()
    result = compiled(x)
    if not torch.equal(result, _double_and_cut(x)):
        raise ArithmeticError("a compiled function gave other numbers than the same one uncompiled")
    return time.perf_counter() - start


def _double_and_cut(x: Tensor) -> Tensor:
    return (2 * x - 16).relu()
