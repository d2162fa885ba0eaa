"""The Triton probe: one tiny kernel, compiled and run, so that Triton's own compiler is seen to work."""
# A kernel is Triton's language in Python's syntax: its values have no Python types to check.
# mypy: ignore-errors

from __future__ import annotations

import torch
import triton
import triton.language as tl

SIZE = 64


@triton.jit
def _double(source, target, size: tl.constexpr):
    places = tl.arange(0, size)
    tl.store(target + places, 2 * tl.load(source + places))


def run_triton(device: torch.device) -> None:
    """Compile and run a kernel on a CUDA device, or in Triton's interpreter on the CPU.

    Raises:
        Exception: whatever Triton raises where it cannot compile or launch.
        ArithmeticError: the kernel ran and computed something else.

    """
    numbers = torch.arange(SIZE, dtype=torch.float32, device=device)
    doubled = torch.empty_like(numbers)
    with torch.cuda.device_of(numbers):
        _double[(1,)](numbers, doubled, SIZE)
    if not torch.equal(doubled, 2 * numbers):
        raise ArithmeticError("a kernel that doubles numbers gave others")
