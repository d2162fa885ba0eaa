"""The kernel record: which kernel computed the attention of a step, and why no preferred one did."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from aabench.measuring.kernels.attention_call import calls_of
from aabench.measuring.kernels.operators import ASKED, kernel_of, operators_of
from aabench.measuring.kernels.refusals import preferred_kernels, refusals
from aabench.measuring.step import Step


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """What is known of a step's attention.

    Attributes:
        kernel: of ``aabench.cases.kernels.KERNELS``, several of torch's joined by ``+``.
        refused: why the kernels that torch prefers did not run; None if the first one ran, or if
            none was asked: torch chooses among its kernels only where its attention is called, and
            in compiled code it has chosen before.
    """

    kernel: str
    refused: str | None


def record_kernel(step: Step, device: torch.device) -> KernelRecord:
    """Run a step once more under the profiler, and again to hear why where torch had a choice.

    To be called outside the clock and the memory pass, for a step with attention that has run
    before.

    Args:
        step: the work.
        device: where it runs.
    """
    operators = operators_of(step)
    kernel = kernel_of(operators)
    if kernel == "triton" and device.type == "cpu":
        kernel = "triton-interpreter"
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    first = preferred_kernels(device.type, capability)[:1]
    if ASKED not in operators or kernel in first:
        return KernelRecord(kernel, None)
    return KernelRecord(kernel, refusals(calls_of(step), kernel))
