"""The operators of a step: which ones torch really ran, and which of its kernels they stand for."""

from __future__ import annotations

from collections.abc import Set

from aabench.measuring.event_tree import profiled_events
from aabench.measuring.step import Step

ASKED = "aten::scaled_dot_product_attention"
"""What chooses among torch's kernels, each time that it runs; compiled code has chosen before."""

FUSED = {
    "cudnn": (
        "aten::_scaled_dot_product_cudnn_attention",
        "aten::_cudnn_attention_forward",
    ),
    "flash": (
        "aten::_scaled_dot_product_flash_attention",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_flash_attention_forward",
    ),
    "memory-efficient": (
        "aten::_scaled_dot_product_efficient_attention",
        "aten::_efficient_attention_forward",
    ),
    "math": ("aten::_scaled_dot_product_attention_math",),
}
"""Torch's own kernels, preferred ones first, and the operators that each begins with."""

HAND_WRITTEN = "Triton"
"""How the autograd functions begin that launch Triton kernels: the launches are no operators."""

COMPILED = "## Call CompiledFxGraph"
"""How the profiler calls what torch.compile made, as far as it runs."""

PRODUCTS = frozenset({"aten::bmm", "aten::baddbmm", "aten::mm", "aten::addmm"})
SOFTMAX = frozenset({"aten::_softmax", "aten::softmax"})

OTHER = "other"


def operators_of(step: Step) -> frozenset[str]:
    """The names of all operators and autograd functions of one step.

    Listened to from the CPU's side with torch's profiler, which changes no choice of a kernel, works
    under inference mode, under autograd and in compiled code, and wants no rights on the card.
    """
    names = frozenset(node.name for node in profiled_events(step.run))
    step.reset()
    return names


def kernel_of(operators: Set[str]) -> str:
    """The kernel, a name of ``KERNELS``, that computed the attention of a step with these operators.

    Several kernels of torch, which different layers or calls may take, are joined by ``+``. Where
    torch's attention ran, the products before it (such as position logits) do not count; compiled
    code that calls one of torch's kernels is that kernel.
    """
    torchs = [name for name, begins in FUSED.items() if not operators.isdisjoint(begins)]
    if torchs:
        return "+".join(torchs)
    if any(name.lstrip("_").startswith(HAND_WRITTEN) for name in operators):
        return "triton"
    if any(name.startswith(COMPILED) for name in operators):
        return "inductor"
    if operators & PRODUCTS and operators & SOFTMAX:
        return "matmul"
    return OTHER
