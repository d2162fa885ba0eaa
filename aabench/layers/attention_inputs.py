"""What one attention is computed from: the five arguments of every form, by name."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aabench.cases.choice import Situation


class AttentionInputs(NamedTuple):
    """The arguments of a form, in its order, so that ``attend(*inputs)`` works.

    Attributes:
        q: (B, Nh, N, dk/Nh), scaled by (dk/Nh)^-0.5.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh).
        resolution: (H, W), with N = H * W.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    tables: tuple[Tensor, Tensor] | None
    resolution: tuple[int, int]

    def situation(self) -> Situation:
        """What the rules behind ``auto`` want to know, read off the tensors."""
        q, k, v, tables, (height, width) = self
        tensors = (q, k, v, *(tables or ()))
        return Situation(
            device_type=q.device.type,
            capability=capability_of(q.device),
            precision=precision_of(q.device, q.dtype),
            training=torch.is_grad_enabled() and any(x.requires_grad for x in tensors),
            tokens=height * width,
            key_depth_per_head=q.shape[-1],
            value_depth_per_head=v.shape[-1],
            height=height,
            width=width,
            has_tables=tables is not None,
        )


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def capability_of(device: torch.device) -> tuple[int, int] | None:
    """The compute capability of a CUDA device; None of any other device.

    A constant to torch.compile, which cannot ask a card while it traces.
    """
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else None


def precision_of(device: torch.device, dtype: torch.dtype) -> str:
    """The name of the precision in which products of this data type are computed.

    Under autocast the name says so. TF32 is what float32 becomes on a CUDA device that may round
    the inputs of its matrix products.
    """
    names = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}
    if dtype != torch.float64 and is_autocast_on(device.type):
        return f"amp-{names.get(torch.get_autocast_dtype(device.type), 'fp32')}"
    if dtype == torch.float32 and device.type == "cuda" and _rounds_float32():
        return "tf32"
    return names.get(dtype, "fp32")


def is_autocast_on(device_type: str) -> bool:
    """Whether autocast is on for a type of device.

    torch raises when it is asked about the meta device, which has none; and its own question
    whether a device has any is one that torch.compile cannot trace before torch 2.12.
    """
    return device_type != "meta" and torch.is_autocast_enabled(device_type)


def _rounds_float32() -> bool:
    # The older flag, allow_tf32, raises once anything has set this newer one.
    return str(torch.backends.cuda.matmul.fp32_precision) == "tf32"
