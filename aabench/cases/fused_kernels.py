"""Which of torch's fused attention kernels takes what: the rule table of the form `factored`.

Read off torch's own selection (its sources aten/src/ATen/native/transformers/…/sdp_utils). On a
CUDA device torch is asked as well before a kernel is chosen, since versions differ; the table says
the same without a device, and says it in the words of this layer. No kernel in it stores a map.

Nothing here imports torch, so that predictions for a card that is not there can ask as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aabench.errors import UnknownName, UnsupportedCase

DEPTH_STEP = 8
"""Every fused kernel takes multiples of 8 elements, in every data type."""

VALUE_STEP_BYTES = 16
"""Where v may be less deep than q', its rows must be aligned to this."""

ITEM_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
"""Bytes of an element, by the data types that any kernel takes."""

Capability = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FusedCase:
    """What a fused kernel is asked to take.

    Attributes:
        device_type: ``cpu``, ``cuda`` or another of torch's names.
        data_type: of q, k and v, by torch's name of it, such as ``bfloat16``.
        training: whether gradients are needed.
        key_depth: dk/Nh.
        value_depth: dv/Nh.
        sides: H + W; 0 without relative positions.
        capability: a CUDA device's compute capability, such as (9, 0); None elsewhere.
        cudnn: the version of cuDNN, such as 91501; None where there is none.
    """

    device_type: str
    data_type: str
    training: bool
    key_depth: int
    value_depth: int
    sides: int
    capability: Capability | None = None
    cudnn: int | None = None


@dataclass(frozen=True, slots=True)
class FusedKernel:
    """A kernel of scaled_dot_product_attention that stores no map, and what it takes.

    Attributes:
        name: as in the column ``kernel``.
        oldest: the lowest compute capability of each data type it takes; (0, 0) for any device.
        equal_depths: whether v must be as deep as q' and k'.
        widest: the largest E and the largest dv/Nh; None for any.
        untrained: from above the first to the second depth, cards with small shared memory have no
            backward pass.
        generations: the major numbers of the architectures on which torch prefers it; None for all.
        cudnn_above: the last version of cuDNN that does not do.
    """

    name: str
    oldest: Mapping[str, Capability]
    equal_depths: bool = False
    widest: int | None = None
    untrained: tuple[int, int] | None = None
    generations: tuple[int, ...] | None = None
    cudnn_above: int | None = None

    def depths(self, case: FusedCase) -> tuple[int, int]:
        """The depths of (q' and k', v), padded as the kernel wants them."""
        depth = _padded(case.key_depth + case.sides, DEPTH_STEP)
        if self.equal_depths:
            common = max(depth, _padded(case.value_depth, DEPTH_STEP))
            return common, common
        return depth, _padded(case.value_depth, VALUE_STEP_BYTES // ITEM_BYTES[case.data_type])

    def refusal(self, case: FusedCase) -> str | None:
        """Why the kernel does not take the case, in one clause with the limit; None if it does."""
        return self._device_refusal(case) or self._depth_refusal(case)

    def _device_refusal(self, case: FusedCase) -> str | None:
        if case.data_type not in self.oldest:
            return f"{self.name} takes {', '.join(self.oldest)}, not {case.data_type}"
        oldest = self.oldest[case.data_type]
        if case.capability is not None and case.capability < oldest:
            return (
                f"{self.name} takes {case.data_type} from {_architecture(oldest)} on, "
                f"not on {_architecture(case.capability)}"
            )
        if self.generations and case.capability and case.capability[0] not in self.generations:
            known = " and ".join(f"sm{major}x" for major in self.generations)
            return f"{self.name} is taken on {known}, not on {_architecture(case.capability)}"
        if self.cudnn_above is not None and (case.cudnn or 0) <= self.cudnn_above:
            return f"{self.name} wants cuDNN above {self.cudnn_above}, not {case.cudnn}"
        return None

    def _depth_refusal(self, case: FusedCase) -> str | None:
        depth, sides = case.key_depth, case.sides
        if self.widest is not None and depth + sides > self.widest:
            return (
                f"{self.name} takes E = dk/Nh + H + W up to {self.widest}, "
                f"not {depth} + {sides} = {depth + sides}; "
                f"at dk/Nh = {depth} it takes H + W up to {max(0, self.widest - depth)}"
            )
        if self.widest is not None and case.value_depth > self.widest:
            return f"{self.name} takes dv/Nh up to {self.widest}, not {case.value_depth}"
        if self.untrained and case.training and _has_small_shared_memory(case.capability):
            low, high = self.untrained
            width = self.depths(case)[0]
            if low < width <= high:
                return (
                    f"{self.name} does not train E above {low} and up to {high} on "
                    f"{_architecture(case.capability)}, and E is {width} here"
                )
        return None


_HALF = ("float16", "bfloat16")
_EVERYWHERE = (0, 0)
_ON_CPU = (
    FusedKernel(
        "flash",
        dict.fromkeys((*_HALF, "float32", "float64"), _EVERYWHERE),
        equal_depths=True,
    ),
)
_ON_CUDA = (
    FusedKernel(
        "cudnn",
        dict.fromkeys(_HALF, (8, 0)),
        widest=128,
        generations=(9, 10),
        # Up to this one it reads past the end where N is no multiple of 128 (pytorch#169849).
        cudnn_above=91500,
    ),
    FusedKernel(
        "flash",
        dict.fromkeys(_HALF, (8, 0)),
        equal_depths=True,
        widest=256,
        untrained=(192, 224),
    ),
    FusedKernel(
        "memory-efficient",
        {"float16": (5, 0), "bfloat16": (8, 0), "float32": (5, 0)},
    ),
)

KERNELS = {"cpu": _ON_CPU, "meta": _ON_CPU, "cuda": _ON_CUDA}
"""The kernels of each device that has any, those to prefer first; on ``meta`` nothing runs."""


def _takes_all(kernel: FusedKernel) -> str | None:
    return None


def choose_kernel(
    case: FusedCase,
    named: str | None = None,
    ask: Callable[[FusedKernel], str | None] = _takes_all,
) -> FusedKernel:
    """The kernel of this name, or the first of the device's that takes the case.

    Args:
        case: what it must take.
        named: the only kernel to consider; None for all of the device's.
        ask: why a kernel that the table accepts cannot run all the same; None if it can.

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
        refusal = kernel.refusal(case) or ask(kernel)
        if refusal is None:
            return kernel
        refusals.append(refusal)
    reason = "; ".join(refusals) or f"no fused kernel is known on {case.device_type}"
    raise UnsupportedCase("factored", reason)


def _has_small_shared_memory(capability: Capability | None) -> bool:
    return capability is not None and ((8, 6) <= capability <= (8, 9) or capability[0] == 12)


def _architecture(capability: Capability | None) -> str:
    return "an unknown architecture" if capability is None else "sm{}{}".format(*capability)


def _padded(depth: int, step: int) -> int:
    """The next multiple of the step."""
    return -(-depth // step) * step
