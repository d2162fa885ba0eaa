"""The form `factored`: position logits as extra columns of q and k, so that stock fused kernels do all.

a[i, jy] + b[i, jx] is the product of [a, b]_i with [onehot(jy), onehot(jx)]_j. With q' = [q, a, b]
and k' = [k, onehot(jy), onehot(jx)] the logits are q' k'^T, which needs no mask: FlashBias (arXiv
2505.12044) in its exact case. Memory is N * E in place of N * N, with E = dk/Nh + H + W.

Shapes: B images, Nh heads, N = H * W pixels in row-major order.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends import cuda as cuda_backend
from torch.nn.attention import SDPBackend, sdpa_kernel

from aabench.errors import UnknownName, UnsupportedCase
from aabench.layers.attention_inputs import capability_of
from aabench.layers.positions.toeplitz import row_column_logits

DEPTH_STEP = 8
"""E is padded to a multiple of this, which suits every fused kernel in every data type."""


@dataclass(frozen=True, slots=True)
class FusedCase:
    """What a fused kernel is asked to take.

    Attributes:
        device_type: ``cpu``, ``cuda`` or another of torch's names.
        capability: a CUDA device's compute capability, such as (9, 0); None elsewhere.
        dtype: of q, k and v.
        training: whether gradients are needed.
        key_depth: dk/Nh.
        value_depth: dv/Nh.
        sides: H + W; 0 without relative positions.
    """

    device_type: str
    capability: tuple[int, int] | None
    dtype: torch.dtype
    training: bool
    key_depth: int
    value_depth: int
    sides: int


@dataclass(frozen=True, slots=True)
class FusedKernel:
    """A kernel of scaled_dot_product_attention that stores no map, and what it takes.

    Attributes:
        name: as in the column ``kernel``.
        backend: torch's name of it.
        dtypes: the data types it takes.
        capability: the lowest compute capability; None on the CPU.
        widest: the largest E and the largest dv/Nh; None for any.
        equal_depths: whether v must be as deep as q' and k'.
    """

    name: str
    backend: SDPBackend
    dtypes: tuple[torch.dtype, ...]
    capability: tuple[int, int] | None = None
    widest: int | None = None
    equal_depths: bool = False

    def refusal(self, case: FusedCase) -> str | None:
        """Why the kernel does not take the case, in one clause with the limit; None if it does."""
        if case.dtype not in self.dtypes:
            known = ", ".join(map(_name, self.dtypes))
            return f"{self.name} takes {known}, not {_name(case.dtype)}"
        if self.capability and case.capability and case.capability < self.capability:
            lowest, got = ("{}{}".format(*pair) for pair in (self.capability, case.capability))
            return f"{self.name} wants sm{lowest} or newer, not sm{got}"
        widest = self.widest
        if widest is None:
            return None
        if self.name == "flash" and case.training and _small_shared_memory(case.capability):
            widest = _WIDEST_TRAINED_IN_SMALL_SHARED_MEMORY
        if case.value_depth > widest:
            return f"{self.name} takes dv/Nh up to {widest}, not {case.value_depth}"
        if case.key_depth + case.sides > widest:
            return (
                f"{self.name} takes E = dk/Nh + H + W up to {widest}, not "
                f"{case.key_depth} + {case.sides} = {case.key_depth + case.sides}; "
                f"at dk/Nh = {case.key_depth} it takes H + W up to "
                f"{max(0, widest - case.key_depth)}"
            )
        return None


_HALF = (torch.float16, torch.bfloat16)
_WIDEST_TRAINED_IN_SMALL_SHARED_MEMORY = 192

_ON_CPU = (
    FusedKernel(
        "flash",
        SDPBackend.FLASH_ATTENTION,
        (*_HALF, torch.float32, torch.float64),
        equal_depths=True,
    ),
)
_ON_CUDA = (
    FusedKernel("cudnn", SDPBackend.CUDNN_ATTENTION, _HALF, (9, 0), widest=128),
    FusedKernel("flash", SDPBackend.FLASH_ATTENTION, _HALF, (8, 0), widest=256, equal_depths=True),
    FusedKernel(
        "memory-efficient", SDPBackend.EFFICIENT_ATTENTION, (*_HALF, torch.float32), (5, 0)
    ),
)

KERNELS = {"cpu": _ON_CPU, "meta": _ON_CPU, "cuda": _ON_CUDA}
"""The kernels of each device that has any, those to prefer first; on ``meta`` nothing runs."""


def choose_kernel(case: FusedCase, named: str | None = None) -> FusedKernel:
    """The kernel of this name, or the first that takes the case.

    Raises:
        UnknownName: the device has no kernel of this name.
        UnsupportedCase: no kernel takes the case, or the one named does not.
    """
    kernels = KERNELS.get(case.device_type, ())
    if named is not None:
        kernels = tuple(kernel for kernel in kernels if kernel.name == named)
        if not kernels:
            known = (kernel.name for kernel in KERNELS.get(case.device_type, ()))
            raise UnknownName(f"fused kernel on {case.device_type}", named, known)
    refusals = {kernel: kernel.refusal(case) for kernel in kernels}
    for kernel, refusal in refusals.items():
        if refusal is None:
            return kernel
    reasons = "; ".join(filter(None, refusals.values()))
    raise UnsupportedCase("factored", reasons or f"{case.device_type} has no fused kernel")


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


def _small_shared_memory(capability: tuple[int, int] | None) -> bool:
    """Whether it is one of the architectures on which flash trains narrower heads only."""
    return capability is not None and (capability in {(8, 6), (8, 9)} or capability[0] == 12)


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


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _padded(depth: int, step: int) -> int:
    """The next multiple of the step."""
    return -(-depth // step) * step
