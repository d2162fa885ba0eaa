"""Which of torch's fused attention kernels takes what: the rule table of the form `factored`.

Read off torch's own selection (aten/src/ATen/native/transformers, sdp_utils); on a CUDA device the
form asks torch again before it runs. No kernel here takes or stores an N x N map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend

from aabench.errors import UnknownName, UnsupportedCase


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
        oldest: the lowest compute capability; None where there is no such thing.
        widest: the largest E and the largest dv/Nh; None for any.
        widest_trained: the same in training on architectures with small shared memory.
        equal_depths: whether v must be as deep as q' and k'.
    """

    name: str
    backend: SDPBackend
    dtypes: tuple[torch.dtype, ...]
    oldest: tuple[int, int] | None = None
    widest: int | None = None
    widest_trained: int | None = None
    equal_depths: bool = False

    def refusal(self, case: FusedCase) -> str | None:
        """Why the kernel does not take the case, in one clause with the limit; None if it does."""
        if case.dtype not in self.dtypes:
            known = ", ".join(map(_name, self.dtypes))
            return f"{self.name} takes {known}, not {_name(case.dtype)}"
        if self.oldest and case.capability and case.capability < self.oldest:
            oldest, got = (f"sm{major}{minor}" for major, minor in (self.oldest, case.capability))
            return f"{self.name} wants {oldest} or newer, not {got}"
        widest = self.widest
        if case.training and self.widest_trained and _small_shared_memory(case.capability):
            widest = self.widest_trained
        return None if widest is None else self._depth_refusal(case, widest)

    def _depth_refusal(self, case: FusedCase, widest: int) -> str | None:
        depth, sides = case.key_depth, case.sides
        if depth + sides > widest:
            return (
                f"{self.name} takes E = dk/Nh + H + W up to {widest}, "
                f"not {depth} + {sides} = {depth + sides}; "
                f"at dk/Nh = {depth} it takes H + W up to {max(0, widest - depth)}"
            )
        if case.value_depth > widest:
            return f"{self.name} takes dv/Nh up to {widest}, not {case.value_depth}"
        return None


_HALF = (torch.float16, torch.bfloat16)
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
    FusedKernel(
        "flash",
        SDPBackend.FLASH_ATTENTION,
        _HALF,
        (8, 0),
        widest=256,
        widest_trained=192,
        equal_depths=True,
    ),
    FusedKernel(
        "memory-efficient", SDPBackend.EFFICIENT_ATTENTION, (*_HALF, torch.float32), (5, 0)
    ),
)

KERNELS = {"cpu": _ON_CPU, "meta": _ON_CPU, "cuda": _ON_CUDA}
"""The kernels of each device that has any, those to prefer first; on ``meta`` nothing runs."""


def choose_kernel(case: FusedCase, named: str | None = None) -> FusedKernel:
    """The kernel of this name, or the first of the device's that takes the case.

    Raises:
        UnknownName: the device has no kernel of this name.
        UnsupportedCase: no kernel takes the case, or the one named does not; says each one's limit.
    """
    kernels = KERNELS.get(case.device_type, ())
    if named is not None:
        names = [kernel.name for kernel in kernels]
        if named not in names:
            raise UnknownName(f"fused kernel on {case.device_type}", named, names)
        kernels = (kernels[names.index(named)],)
    refusals = []
    for kernel in kernels:
        refusal = kernel.refusal(case)
        if refusal is None:
            return kernel
        refusals.append(refusal)
    reason = "; ".join(refusals) or f"no fused kernel is known on {case.device_type}"
    raise UnsupportedCase("factored", reason)


def _small_shared_memory(capability: tuple[int, int] | None) -> bool:
    return capability is not None and (capability in {(8, 6), (8, 9)} or capability[0] == 12)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
