"""The form `factored`: position logits as extra columns of q and k, so that stock fused kernels do all.

a[i, jy] + b[i, jx] is the product of [a, b]_i with [onehot(jy), onehot(jx)]_j. With q' = [q, a, b]
and k' = [k, onehot(jy), onehot(jx)] the logits are q' k'^T, which needs no mask: FlashBias (arXiv
2505.12044) in its exact case. Memory is N * E in place of N * N, with E = dk/Nh + H + W.

Shapes: B images, Nh heads, N = H * W pixels in row-major order.
"""

from __future__ import annotations

import warnings
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends import cuda as cuda_backend
from torch.nn.attention import SDPBackend, sdpa_kernel

from aabench.errors import UnsupportedCase
from aabench.layers.attention.factored_kernels import FusedCase, FusedKernel, choose_kernel
from aabench.layers.attention_inputs import capability_of
from aabench.layers.positions.toeplitz import row_column_logits

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
    sides = sum(resolution) if tables is not None else 0
    chosen = choose_kernel(
        FusedCase(
            device_type=q.device.type,
            capability=capability_of(q.device),
            dtype=dtype,
            training=torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v)),
            key_depth=q.shape[-1],
            value_depth=v.shape[-1],
            sides=sides,
        ),
        named=kernel,
    )
    depth = _padded(q.shape[-1] + sides, DEPTH_STEP)
    value_depth = _padded(v.shape[-1], _VALUE_STEP_BYTES // dtype.itemsize)
    if chosen.equal_depths:
        depth = value_depth = max(depth, _padded(v.shape[-1], DEPTH_STEP))
    query_columns, key_columns = [q.to(dtype)], [k.to(dtype)]
    if tables is not None:
        height, width = tables
        logits = row_column_logits(q.to(dtype), (height.to(dtype), width.to(dtype)), resolution)
        query_columns += [part.to(dtype) for part in logits]
        key_columns += [_indicators(k, dtype, resolution)]
    attended = _fused_attention(
        chosen,
        _side_by_side(query_columns, depth),
        _side_by_side(key_columns, depth),
        _side_by_side([v.to(dtype)], value_depth),
    )
    return attended[..., : v.shape[-1]]


_VALUE_STEP_BYTES = 16


def _computed_in(*tensors: Tensor) -> torch.dtype:
    """The data type that torch would compute in: autocast's where it is on and applies."""
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in tensors))
    device_type = tensors[0].device.type
    if dtype != torch.float64 and _autocast_is_on(device_type):
        return torch.get_autocast_dtype(device_type)
    return dtype


def _autocast_is_on(device_type: str) -> bool:
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)


def _indicators(k: Tensor, dtype: torch.dtype, resolution: tuple[int, int]) -> Tensor:
    """[onehot(jy), onehot(jx)] of every key, (B, Nh, N, H + W), without memory of its own per head."""
    H, W = resolution
    rows = torch.eye(H, dtype=dtype, device=k.device).repeat_interleave(W, 0)
    columns = torch.eye(W, dtype=dtype, device=k.device).repeat(H, 1)
    return torch.cat((rows, columns), -1).expand(*k.shape[:2], -1, -1)


def _side_by_side(parts: list[Tensor], depth: int) -> Tensor:
    """Joined along the last dimension and zero-padded to this depth, with last stride 1."""
    missing = depth - sum(part.shape[-1] for part in parts)
    zeros = parts[0].new_zeros(1).expand(*parts[0].shape[:-1], missing)
    return torch.cat((*parts, zeros), -1).contiguous()


def _fused_attention(kernel: FusedKernel, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T) v by this kernel and no other.

    Raises:
        UnsupportedCase: torch itself says that the kernel cannot run.
    """
    if q.device.type == "cuda" and not torch.compiler.is_compiling():
        _check_with_torch(kernel, q, k, v)
    with sdpa_kernel(kernel.backend):
        return F.scaled_dot_product_attention(q, k, v, scale=1.0)


def _check_with_torch(kernel: FusedKernel, q: Tensor, k: Tensor, v: Tensor) -> None:
    can_use = {
        SDPBackend.CUDNN_ATTENTION: cuda_backend.can_use_cudnn_attention,
        SDPBackend.FLASH_ATTENTION: cuda_backend.can_use_flash_attention,
        SDPBackend.EFFICIENT_ATTENTION: cuda_backend.can_use_efficient_attention,
    }[kernel.backend]
    parameters = cuda_backend.SDPAParams(q, k, v, None, 0.0, False, False)
    with warnings.catch_warnings(record=True) as reasons:
        warnings.simplefilter("always")
        takes = can_use(parameters, debug=True)
    if not takes:
        said = " ".join(str(reason.message).split(" (Triggered")[0] for reason in reasons)
        raise UnsupportedCase("factored", f"torch refuses the kernel {kernel.name}: {said}")


def _padded(depth: int, step: int) -> int:
    """The next multiple of the step."""
    return -(-depth // step) * step
