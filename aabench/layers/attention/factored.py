"""The form `factored`: position logits as extra columns of q and k, so that stock fused kernels do all.

a[i, jy] + b[i, jx] is the product of [a, b]_i with [onehot(jy), onehot(jx)]_j. With q' = [q, a, b]
and k' = [k, onehot(jy), onehot(jx)] the logits are q' k'^T, which needs no mask: FlashBias (arXiv
2505.12044) in its exact case. Memory is N * E in place of N * N, with E = dk/Nh + H + W.

Shapes: B images, Nh heads, N = H * W pixels in row-major order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial, reduce

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends import cuda as cuda_backend
from torch.nn.attention import SDPBackend, sdpa_kernel

from aabench.cases.fused_kernels import FusedCase, FusedKernel, choose_kernel
from aabench.layers.attention_inputs import capability_of, is_autocast_on
from aabench.layers.positions.toeplitz import row_column_logits

BACKENDS = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
}
"""What torch calls the kernels of the rule table."""

DATA_TYPES = {
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float32: "float32",
    torch.float64: "float64",
}
"""What the rule table calls data types."""


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
    *,
    kernel: str | None = None,
) -> Tensor:
    """softmax(q' k'^T) v by one of torch's fused kernels, pinned: never by the quadratic fallback.

    Args:
        q: (B, Nh, N, dk/Nh), scaled.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh).
        resolution: (H, W), with N = H * W.
        kernel: the name of one of the device's ``KERNELS``; None takes the first that can.

    Returns:
        (B, Nh, N, dv/Nh), of the inputs' data type, or of autocast's where that is on.

    Raises:
        UnknownName: the device has no kernel of this name.
        UnsupportedCase: no fused kernel takes the case, or the one named does not.
    """
    dtype = _computed_in(q, k, v)
    sides = 0 if tables is None else sum(resolution)
    case = _case((q, k, v, *(tables or ())), dtype, sides)
    chosen = choose_kernel(case, kernel, ask=partial(_torch_refusal, case, dtype, q))
    depth, value_depth = chosen.depths(case)
    queries, keys, values = q.to(dtype), k.to(dtype), v.to(dtype)
    query_columns, key_columns = [queries], [keys]
    if tables is not None:
        height, width = (table.to(dtype) for table in tables)
        query_columns += row_column_logits(queries, (height, width), resolution)
        key_columns.append(_indicators(keys, resolution))
    with sdpa_kernel(BACKENDS[chosen.name]):
        attended = F.scaled_dot_product_attention(
            _side_by_side(query_columns, depth),
            _side_by_side(key_columns, depth),
            _side_by_side([values], value_depth),
            scale=1.0,
        )
    return attended[..., : v.shape[-1]]


def _case(tensors: tuple[Tensor, ...], dtype: torch.dtype, sides: int) -> FusedCase:
    q, _, v, *_ = tensors
    capability, cudnn = _cuda_facts(q.device)
    return FusedCase(
        device_type=q.device.type,
        data_type=DATA_TYPES.get(dtype, str(dtype)),
        training=torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors),
        key_depth=q.shape[-1],
        value_depth=v.shape[-1],
        sides=sides,
        capability=capability,
        cudnn=cudnn,
    )


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _cuda_facts(device: torch.device) -> tuple[tuple[int, int] | None, int | None]:
    """The compute capability and the version of cuDNN, which no compiled graph can ask for."""
    if device.type != "cuda":
        return None, None
    return capability_of(device), torch.backends.cudnn.version()


def _computed_in(*tensors: Tensor) -> torch.dtype:
    """The data type that torch would compute in: autocast's where it is on and applies."""
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in tensors))
    device_type = tensors[0].device.type
    if dtype != torch.float64 and is_autocast_on(device_type):
        return torch.get_autocast_dtype(device_type)
    return dtype


def _indicators(keys: Tensor, resolution: tuple[int, int]) -> Tensor:
    """[onehot(jy), onehot(jx)] of every key, (B, Nh, N, H + W): one copy, seen by all heads."""
    H, W = resolution
    rows = torch.eye(H, dtype=keys.dtype, device=keys.device).repeat_interleave(W, 0)
    columns = torch.eye(W, dtype=keys.dtype, device=keys.device).repeat(H, 1)
    return torch.cat((rows, columns), -1).expand(*keys.shape[:2], -1, -1)


def _side_by_side(parts: list[Tensor], depth: int) -> Tensor:
    """Joined along the last dimension and zero-padded to this depth, with last stride 1."""
    missing = depth - sum(part.shape[-1] for part in parts)
    zeros = parts[0].new_zeros(1).expand(*parts[0].shape[:-1], missing)
    return torch.cat((*parts, zeros), -1).contiguous()


def _torch_refusal(
    case: FusedCase, dtype: torch.dtype, q: Tensor, kernel: FusedKernel
) -> str | None:
    """Why torch will not run this kernel on a CUDA device; None if it will, and elsewhere.

    Asked with tensors of the right shape, data type and strides that occupy one row. Not while
    compiling: then the table alone decides, and torch raises where it disagrees.
    """
    if q.device.type != "cuda" or torch.compiler.is_compiling():
        return None
    pixels = q.shape[:3]
    depth, value_depth = kernel.depths(case)
    row = torch.empty(max(depth, value_depth), dtype=dtype, device=q.device)
    query, value = (
        row.as_strided((*pixels, columns), (0, 0, 0, 1)).requires_grad_(case.training)
        for columns in (depth, value_depth)
    )
    parameters = cuda_backend.SDPAParams(query, query, value, None, 0.0, False, False)
    with sdpa_kernel(BACKENDS[kernel.name]), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if _CAN_USE[kernel.name](parameters, debug=True):
            return None
    reasons = " ".join(str(warning.message).split(" (Triggered")[0] for warning in said)
    return f"torch does not run {kernel.name} here: {reasons}"


_CAN_USE: dict[str, Callable[..., bool]] = {
    "cudnn": cuda_backend.can_use_cudnn_attention,
    "flash": cuda_backend.can_use_flash_attention,
    "memory-efficient": cuda_backend.can_use_efficient_attention,
}
