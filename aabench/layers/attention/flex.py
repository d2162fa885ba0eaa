"""The form `flex`: torch's FlexAttention, the position logits a and b added by a score_mod.

Compiled or refused: uncompiled, FlexAttention stores the map that this form is there to avoid.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.attention.flex_attention import flex_attention

from aabench.errors import UnsupportedCase
from aabench.layers.positions.toeplitz import row_column_logits

FORM = "flex"

OLDEST_CAPABILITY = (8, 0)

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
"""FlexAttention's kernels sum in float32, so float64 is not among them."""

SMALLEST_DEPTH = 16
"""The kernels want dk/Nh and dv/Nh of at least this; powers of two spare them their own padding."""

KEPT_KERNELS = 64
"""Compiled cases that are kept; torch's own limit is 8 of them for one function, then eager."""


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
) -> Tensor:
    """softmax(q k^T + a[:, jy] + b[:, jx]) v by FlexAttention, compiled for these very shapes.

    On CUDA it trains; the gradients of a and b are gathered by atomic additions, so two runs may
    differ in the last bits. On the CPU it only infers. The first call of a case compiles for
    seconds. Inside a function that is compiled already it becomes part of that on CUDA, and breaks
    its graph on the CPU, where FlexAttention compiles only with logits that are its inputs.

    Args:
        q: (B, Nh, N, dk/Nh), scaled.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh).
        resolution: (H, W), with N = H * W.

    Returns:
        (B, Nh, N, dv/Nh).

    Raises:
        UnsupportedCase: a gradient on the CPU, a device that is neither CPU nor a CUDA one of
            compute capability 8.0 or newer, float64, mixed data types, fake tensors, a case that
            torch.compile fails on, or torch.compile switched off.
    """
    if torch.compiler.is_compiling() and q.device.type == "cpu":
        return _untraced(q, k, v, tables, resolution)
    return _attend(q, k, v, tables, resolution)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
) -> Tensor:
    _check(q, k, v, tables)
    a = b = None
    if tables is not None:
        # Sums of many gradients arrive in a and b one by one: float32 takes them.
        a, b = (logits.float().contiguous() for logits in row_column_logits(q, tables, resolution))
    inputs = (_padded(q), _padded(k), _padded(v), a, b)
    if torch.compiler.is_compiling():
        return _fused(*inputs, resolution[1])[..., : v.shape[-1]]
    compiled = _compiled(_signature(inputs, resolution[1]))
    try:
        attended = compiled(*inputs, resolution[1])
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise UnsupportedCase(FORM, f"torch.compile fails on this case: {reason}") from error
    return attended[..., : v.shape[-1]]


_untraced: Callable[..., Tensor] = torch.compiler.disable(_attend)


def _fused(  # noqa: PLR0917 -- compiled functions are called by position
    q: Tensor, k: Tensor, v: Tensor, a: Tensor | None, b: Tensor | None, width: int
) -> Tensor:
    """What is compiled.

    Raises:
        UnsupportedCase: it runs uncompiled. While it is compiled this branch is dropped.
    """
    if not torch.compiler.is_compiling():
        raise UnsupportedCase(
            FORM, "torch.compile is switched off or gave up, and uncompiled it stores the full map"
        )
    score_mod = None
    if a is not None and b is not None:

        def score_mod(
            score: Tensor, image: Tensor, head: Tensor, query: Tensor, key: Tensor
        ) -> Tensor:
            return score + a[image, head, query, key // width] + b[image, head, query, key % width]

    return flex_attention(q, k, v, score_mod=score_mod, scale=1.0)


class _Signature(NamedTuple):
    """What a kernel is compiled for, as far as a case differs from another in it."""

    width: int
    shapes: tuple[tuple[int, ...] | None, ...]
    gradients: tuple[bool, ...]
    dtype: torch.dtype
    device: torch.device


def _signature(inputs: tuple[Tensor | None, ...], width: int) -> _Signature:
    q = inputs[0]
    assert q is not None
    return _Signature(
        width,
        tuple(None if tensor is None else tuple(tensor.shape) for tensor in inputs),
        tuple(
            torch.is_grad_enabled() and tensor is not None and tensor.requires_grad
            for tensor in inputs
        ),
        q.dtype,
        q.device,
    )


@lru_cache(maxsize=KEPT_KERNELS)
def _compiled(signature: _Signature) -> Callable[..., Tensor]:
    """The function compiled for one signature.

    torch counts the compiled versions of a code object and runs it eagerly past its limit, so
    every signature gets a code object of its own.
    """
    code = _fused.__code__.replace(co_name=f"flex_{hash(signature) & 0xFFFFFFFF:08x}")
    function = types.FunctionType(code, _fused.__globals__)
    return torch.compile(function, fullgraph=True, dynamic=False)


def _padded(x: Tensor) -> Tensor:
    """Zero-padded in depth to a power of two, contiguous."""
    depth = max(SMALLEST_DEPTH, 1 << (x.shape[-1] - 1).bit_length())
    if not torch.is_grad_enabled():
        x = x.detach()  # FlexAttention on the CPU looks at requires_grad even then
    return F.pad(x, (0, depth - x.shape[-1])).contiguous()


def _check(q: Tensor, k: Tensor, v: Tensor, tables: tuple[Tensor, Tensor] | None) -> None:
    """Refuse what FlexAttention cannot run, by name."""
    if isinstance(q, FakeTensor):
        raise UnsupportedCase(FORM, "compiled code cannot run on fake tensors")
    if not q.dtype == k.dtype == v.dtype:
        raise UnsupportedCase(
            FORM, f"q, k and v must have one data type, got {q.dtype}, {k.dtype} and {v.dtype}"
        )
    if q.dtype not in DTYPES:
        raise UnsupportedCase(FORM, f"the data type must be one of {DTYPES}, got {q.dtype}")
    if q.device.type == "cuda":
        capability = torch.cuda.get_device_capability(q.device)
        if capability < OLDEST_CAPABILITY:
            got = f"{capability[0]}.{capability[1]}"
            raise UnsupportedCase(FORM, f"it needs compute capability 8.0 or newer, got {got}")
    elif q.device.type != "cpu":
        raise UnsupportedCase(FORM, f"it needs a CUDA device or the CPU, got device {q.device}")
    elif torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, *(tables or ()))):
        raise UnsupportedCase(FORM, "FlexAttention has no backward pass on the CPU")
