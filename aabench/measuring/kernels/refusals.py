"""The refusals: why the kernels that torch prefers did not run an attention, as a table of rules.

The rules name the cause in the words of a layer. On the CPU they decide, since torch answers no
question there; on CUDA torch itself is asked, and they only say what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from aabench.measuring.kernels.attention_call import AttentionCall

HALF = (torch.float16, torch.bfloat16)
FLOATS = (*HALF, torch.float32, torch.float64)

WIDEST_FLASH = 256
"""The largest E that the flash kernel takes on CUDA."""

PREFERS_CUDNN = (9, 10)
"""The major numbers of the architectures on which torch tries cuDNN first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to refuse a call.

    Attributes:
        applies: whether it is there.
        clause: it in a few words, with the value got.
    """

    applies: Callable[[AttentionCall], bool]
    clause: Callable[[AttentionCall], str]


def _dtype(*taken: torch.dtype) -> Rule:
    return Rule(
        lambda call: call.dtype not in taken,
        lambda call: f"dtype {_short(call.dtype)}, wanted {', '.join(map(_short, taken))}",
    )


_STRIDE = Rule(
    lambda call: any(stride != 1 for stride in call.last_strides),
    lambda call: "stride: the last one of q, k and v is {}, {} and {}, wanted 1".format(
        *call.last_strides
    ),
)
_UNEQUAL = Rule(
    lambda call: call.key_depth != call.value_depth,
    lambda call: f"E != Ev: {call.key_depth} and {call.value_depth}",
)
_LEARNED_MASK = Rule(lambda call: call.learned_mask, lambda call: "mask that needs a gradient")
_MASK_SHAPE = Rule(
    lambda call: call.mask_dimensions not in {None, 2, 4},
    lambda call: f"mask of {call.mask_dimensions} dimensions, wanted 2 or 4",
)
_MASK = Rule(lambda call: call.mask_dimensions is not None, lambda call: "mask")
_DROPOUT = Rule(lambda call: call.dropout > 0, lambda call: f"dropout {call.dropout:g}")
_WIDE = Rule(
    lambda call: max(call.key_depth, call.value_depth) > WIDEST_FLASH,
    lambda call: f"depth {max(call.key_depth, call.value_depth)} above {WIDEST_FLASH}",
)
_BEFORE_AMPERE = Rule(
    lambda call: call.capability is not None and call.capability < (8, 0),
    lambda call: "architecture sm{}{}, wanted sm80 or newer".format(*call.capability or ()),
)
_ALIGNMENT = Rule(
    lambda call: any(depth % _step(call) for depth in (call.key_depth, call.value_depth)),
    lambda call: (
        f"alignment: E = {call.key_depth} and Ev = {call.value_depth}, "
        f"wanted multiples of {_step(call)}"
    ),
)

RULES: dict[tuple[str, str], tuple[Rule, ...]] = {
    ("cpu", "flash"): (_LEARNED_MASK, _MASK_SHAPE, _UNEQUAL, _STRIDE, _DROPOUT, _dtype(*FLOATS)),
    ("cuda", "cudnn"): (_LEARNED_MASK, _dtype(*HALF), _BEFORE_AMPERE, _ALIGNMENT, _STRIDE),
    ("cuda", "flash"): (_MASK, _dtype(*HALF), _BEFORE_AMPERE, _UNEQUAL, _WIDE, _STRIDE),
    ("cuda", "memory-efficient"): (_dtype(*HALF, torch.float32), _ALIGNMENT, _STRIDE),
}
"""Why each kernel of a device refuses a call."""


def preferred_kernels(device_type: str, capability: tuple[int, int] | None) -> tuple[str, ...]:
    """The fused kernels of a device in the order in which torch tries them."""
    if device_type == "cpu":
        return ("flash",)
    if device_type != "cuda":
        return ()
    fused = ("flash", "memory-efficient")
    return ("cudnn", *fused) if capability and capability[0] in PREFERS_CUDNN else fused


def refusals(calls: Sequence[AttentionCall], ran: str) -> str | None:
    """Why the kernels before the one that ran did not take these calls; None if none is before it.

    Args:
        calls: what torch's attention was given.
        ran: the kernel, as ``kernel_of`` names it; of several, the reasons against all but the last.
    """
    slowest = ran.rpartition("+")[2]
    said: dict[str, None] = {}
    for call in calls:
        for kernel in preferred_kernels(call.device_type, call.capability):
            if kernel == slowest:
                break
            reason = _refusal(call, kernel)
            if reason is not None:
                said[f"{kernel}: {reason}"] = None
    return "; ".join(said) or None


def _refusal(call: AttentionCall, kernel: str) -> str | None:
    """Why a kernel does not take a call; None if nothing is known against it."""
    rules = RULES[call.device_type, kernel]
    clauses = [rule.clause(call) for rule in rules if rule.applies(call)]
    if call.device_type == "cuda":
        if kernel in call.torch_says:
            return ", ".join(clauses) or call.torch_says[kernel] or "torch gives no reason"
        clauses = []
    if not clauses and kernel in call.switched_off:
        return "switched off by the caller"
    return ", ".join(clauses) or None


def _step(call: AttentionCall) -> int:
    """The number of elements that depths must be multiples of."""
    return 8 if call.dtype in HALF else 4


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
