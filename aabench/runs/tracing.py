"""Counting by tracing: what torch itself counts in a forward pass, on the meta device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from aabench.cases.case import Case
from aabench.errors import AabenchError
from aabench.runs.model import build_model, input_shape


def traced_counts(case: Case) -> dict[str, Any]:
    """Parameters and forward MACs of a case, counted by torch's FlopCounterMode.

    The meta device is used because the counter sees nothing of the CPU's fused attention kernels
    (pytorch#195460). A form that does not run there is not counted.

    Returns:
        ``params`` and, where the form could be traced, ``traced_macs``.
    """
    plain_numbers = replace(case, precision="fp32", memory_format="contiguous", compile=False)
    model = build_model(plain_numbers, torch.device("meta")).eval()
    figures: dict[str, Any] = {"params": sum(p.numel() for p in model.parameters())}
    x = torch.empty(input_shape(case), device="meta")
    counter = FlopCounterMode(display=False)
    try:
        with torch.inference_mode(), counter:
            model(x)
    except (AabenchError, RuntimeError):  # outside code need not run on the meta device
        return figures
    figures["traced_macs"] = counter.get_total_flops() // 2
    return figures
