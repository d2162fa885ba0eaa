"""The taught results: how a few results are laid out that torch's fake tensors take long to find out.

Fake tensors take batch norms and bilinear upsampling apart into a dozen operations, 10 ms each time,
and these are half of what a network asks. Only the plain cases are answered here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

_aten = torch.ops.aten


class Layout(NamedTuple):
    """A result in memory of its own.

    Attributes:
        shape: of the tensor.
        strides: in elements.
        dtype: of its elements.
        size: bytes of its storage.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    size: int

    @classmethod
    def like(cls, tensor: Tensor) -> Layout:
        """That of a tensor without gaps."""
        return cls(tensor.shape, tensor.stride(), tensor.dtype, tensor.numel() * tensor.itemsize)

    @classmethod
    def contiguous(cls, shape: tuple[int, ...], dtype: torch.dtype) -> Layout:
        """That of a new tensor of four dimensions or one, none of them 0."""
        strides = [1]
        for side in reversed(shape[1:]):
            strides.insert(0, strides[0] * side)
        return cls(shape, tuple(strides), dtype, strides[0] * shape[0] * dtype.itemsize)


def taught_result(operation: Any, arguments: tuple[Any, ...]) -> tuple[Layout, ...] | Layout | None:
    """The layouts of an operation's results, or None if nobody was taught them."""
    rule = _RULES.get(operation)
    return None if rule is None else rule(*arguments)


def _batch_norm(x: Tensor, weight: Any, bias: Any, *others: Any) -> tuple[Layout, ...] | None:
    """Normalised values, mean and inverse deviation of each channel."""
    training = others[2]
    if not (training and _is_plain(x) and _has_type_of(x, weight, bias)):
        return None
    channel = Layout.contiguous((x.shape[1],), x.dtype)
    return Layout.like(x), channel, channel


def _batch_norm_backward(
    gradient: Tensor, x: Tensor, weight: Any, mean: Any, variance: Any, *others: Any
) -> tuple[Layout, ...] | None:
    """The gradients of input, weight and bias."""
    saved_mean, saved_deviation, training, _, wanted = others
    is_alike = gradient.stride() == x.stride() and _has_type_of(
        x, gradient, weight, saved_mean, saved_deviation
    )
    if not (training and all(wanted) and is_alike and _is_plain(x)):
        return None
    channel = Layout.contiguous((x.shape[1],), x.dtype)
    return Layout.like(x), channel, channel


def _upsampling(x: Tensor, size: Any, *_: Any) -> Layout | None:
    if size is None or not (_is_plain(x) and x.is_contiguous()):
        return None
    return Layout.contiguous((*x.shape[:2], *size), x.dtype)


def _is_plain(x: Tensor) -> bool:
    """Whether a batch of images in single precision lies in one of two orders, and in no other."""
    if x.dim() != 4 or x.dtype != torch.float32 or 0 in x.shape:
        return False
    return x.is_contiguous() != x.is_contiguous(memory_format=torch.channels_last)


def _has_type_of(x: Tensor, *others: Any) -> bool:
    return all(isinstance(other, Tensor) and other.dtype == x.dtype for other in others)


_RULES: dict[Any, Callable[..., Any]] = {
    _aten._native_batch_norm_legit.default: _batch_norm,
    _aten.native_batch_norm_backward.default: _batch_norm_backward,
    _aten.upsample_bilinear2d.default: _upsampling,
}
