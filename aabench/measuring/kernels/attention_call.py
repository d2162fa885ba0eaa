"""The attention call: what one call of torch's attention was given, and what torch says to it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.backends import cuda as cuda_backend
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from aabench.measuring.step import Step

_CAN_USE: dict[str, Callable[..., bool]] = {
    "cudnn": cuda_backend.can_use_cudnn_attention,
    "flash": cuda_backend.can_use_flash_attention,
    "memory-efficient": cuda_backend.can_use_efficient_attention,
}

_FUSED = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
]


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """One call of scaled_dot_product_attention.

    Attributes:
        device_type: ``cpu``, ``cuda`` or another of torch's names.
        dtype: of q.
        key_depth: E, the last dimension of q and k.
        value_depth: Ev, that of v.
        last_strides: in elements, of q, k and v.
        mask_dimensions: of the mask; None without one.
        learned_mask: whether there is a mask that needs a gradient.
        dropout: the probability.
        switched_off: the kernels that the caller does not allow.
        capability: a CUDA device's compute capability; None elsewhere.
        torch_says: why not, by kernel that torch would not run, in its words; CUDA only.
    """

    device_type: str
    dtype: torch.dtype
    key_depth: int
    value_depth: int
    last_strides: tuple[int, ...] = (1, 1, 1)
    mask_dimensions: int | None = None
    learned_mask: bool = False
    dropout: float = 0.0
    switched_off: frozenset[str] = frozenset()
    capability: tuple[int, int] | None = None
    torch_says: Mapping[str, str] = field(default_factory=dict)


def calls_of(step: Step) -> list[AttentionCall]:
    """Every call of torch's attention in one step, with equal ones once.

    A mode for torch's functions hears them, which changes nothing below it. Compiled code would be
    compiled again for it: to be used only where a step was seen to call torch's attention itself.
    """
    listening = _Listening()
    with listening:
        step.run()
    step.reset()
    return listening.calls


class _Listening(TorchFunctionMode):
    """Notes what scaled_dot_product_attention is given, and then lets it run."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[AttentionCall] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is scaled_dot_product_attention:
            call = _heard(dict(zip(_PARAMETERS, args, strict=False)) | named)
            if call not in self.calls:
                self.calls.append(call)
        return func(*args, **named)


_PARAMETERS = (
    "query",
    "key",
    "value",
    "attn_mask",
    "dropout_p",
    "is_causal",
    "scale",
    "enable_gqa",
)


def _heard(given: Mapping[str, Any]) -> AttentionCall:
    """What a call with these arguments, by name, asks of torch's kernels."""
    query: Tensor = given["query"]
    inputs = [query, given["key"], given["value"]]
    mask: Tensor | None = given.get("attn_mask")
    dropout: float = given.get("dropout_p", 0.0)
    device = query.device
    if _casts(device.type) and query.dtype != torch.float64:
        inputs = [tensor.to(torch.get_autocast_dtype(device.type)) for tensor in inputs]
    flags = given.get("is_causal", False), given.get("enable_gqa", False)
    on_cuda = device.type == "cuda"
    return AttentionCall(
        device_type=device.type,
        dtype=inputs[0].dtype,
        key_depth=query.shape[-1],
        value_depth=inputs[2].shape[-1],
        last_strides=tuple(tensor.stride(-1) for tensor in inputs),
        mask_dimensions=None if mask is None else mask.dim(),
        learned_mask=mask is not None and mask.requires_grad,
        dropout=dropout,
        switched_off=_switched_off(),
        capability=torch.cuda.get_device_capability(device) if on_cuda else None,
        torch_says=_what_torch_says(*inputs, mask, dropout, *flags) if on_cuda else {},
    )


def _casts(device_type: str) -> bool:
    """Whether autocast changes what the kernel is given."""
    return device_type in {"cpu", "cuda"} and torch.is_autocast_enabled(device_type)


def _switched_off() -> frozenset[str]:
    """The kernels that a context such as ``sdpa_kernel`` forbids."""
    allowed = {
        "flash": cuda_backend.flash_sdp_enabled(),
        "memory-efficient": cuda_backend.mem_efficient_sdp_enabled(),
        "cudnn": cuda_backend.cudnn_sdp_enabled(),
    }
    return frozenset(name for name, is_allowed in allowed.items() if not is_allowed)


def _what_torch_says(*parameters: Any) -> dict[str, str]:
    """The reason that torch gives for each kernel that it would not run, were it allowed to."""
    asked = cuda_backend.SDPAParams(*parameters)
    says = {}
    for name, can_use in _CAN_USE.items():
        with sdpa_kernel(_FUSED), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if not can_use(asked, debug=True):
                says[name] = " ".join(
                    str(warning.message).split(" (Triggered")[0] for warning in said
                )
    return says
