"""The trace of a model on the meta device: which resolution reaches which convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from aabench.errors import UsageError
from aabench.layers.arguments import count
from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.modules.twin import twin

Model = TypeVar("Model", bound=nn.Module)

InputSize = tuple[int, int, int]
"""(C, H, W) of one image."""

Substitutes = dict[tuple[nn.Module, str], Callable[[Tensor], Tensor]]
"""Methods by the module and the name that they stand for."""


def meta_copy(model: Model) -> Model:
    """A copy of a model in evaluation mode whose tensors are all on the meta device.

    Raises:
        UsageError: the model cannot be copied.
    """
    return twin(model, partial(torch.empty_like, device="meta")).eval()


def run_on_meta(model: nn.Module, input_size: InputSize) -> None:
    """One forward pass of a meta copy on one image.

    Raises:
        UsageError: the forward fails, or a window no longer fits the map that reaches it. The
            message names the module where it happened and the shape that had reached it.
    """
    for side, value in zip(("channels", "height", "width"), input_size, strict=True):
        count(f"the input's {side}", value)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    image = torch.empty(1, *input_size, device="meta", dtype=dtype)
    entered: list[tuple[str, nn.Module, tuple[int, ...] | None]] = []
    skipped = {**_skipped_norms(model), **_skipped_attention(model)}
    with _recording_entries(model, entered), _in_place_of(skipped), torch.no_grad():
        try:
            model(image)
        except Exception as error:  # a user's forward may raise anything
            raise _failure(error, entered, input_size) from error


def reached_resolutions(
    model: nn.Module, names: Iterable[str], input_size: InputSize
) -> dict[str, tuple[int, int]]:
    """(H, W) of the largest input that reaches each of the named modules of a meta copy.

    A module that the forward does not reach is missing from the answer. One that runs several
    times, as the heads of a feature pyramid do, gets the largest height and width it saw.

    Raises:
        UsageError: as ``run_on_meta`` does.
    """
    found: dict[str, tuple[int, int]] = {}

    def hook_of(name: str) -> Any:
        def note(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            height, width = inputs[0].shape[-2:]
            before = found.get(name, (0, 0))
            found[name] = (max(before[0], height), max(before[1], width))

        return note

    hooks = [model.get_submodule(name).register_forward_pre_hook(hook_of(name)) for name in names]
    try:
        run_on_meta(model, input_size)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _skipped_norms(model: nn.Module) -> Substitutes:
    """Batch norms that give back what they get: no shape depends on them, and meta takes its time."""
    norms = (module for module in model.modules() if type(module) is nn.BatchNorm2d)
    return {(norm, "forward"): _unchanged_by(norm) for norm in norms}


def _unchanged_by(norm: nn.BatchNorm2d) -> Callable[[Tensor], Tensor]:
    """A forward that does nothing, except to refuse what the norm would refuse."""
    original = norm.forward

    def forward(x: Tensor) -> Tensor:
        is_taken = x.dim() == 4 and x.shape[1] == norm.num_features
        return x if is_taken else original(x)

    return forward


def _skipped_attention(model: nn.Module) -> Substitutes:
    """Augmented convolutions that only look at the attention's inputs: its output's shape is known."""
    layers = (module for module in model.modules() if isinstance(module, AugmentedConv2d))
    return {(layer, "attended"): _unattended_by(layer) for layer in layers}


def _unattended_by(layer: AugmentedConv2d) -> Callable[[Tensor], Tensor]:
    def attended(x: Tensor) -> Tensor:
        layer.attention_inputs(x)  # it refuses what does not fit its positions
        sides = (-(-side // layer.stride) for side in x.shape[2:])
        return x.new_empty((x.shape[0], layer.dv, *sides))

    return attended


@contextmanager
def _in_place_of(substitutes: Substitutes) -> Iterator[None]:
    """Let modules have other methods for a while."""
    for (module, name), method in substitutes.items():
        setattr(module, name, method)
    try:
        yield
    finally:
        for module, name in substitutes:
            delattr(module, name)


@contextmanager
def _recording_entries(
    model: nn.Module, entered: list[tuple[str, nn.Module, tuple[int, ...] | None]]
) -> Iterator[None]:
    """Keep in ``entered`` the stack of modules that the forward is inside of."""

    def enter(name: str) -> Any:
        def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            shape = tuple(inputs[0].shape) if inputs and isinstance(inputs[0], Tensor) else None
            entered.append((name, module, shape))

        return note

    def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        entered.pop()

    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(enter(name)))
        hooks.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _failure(
    error: Exception,
    entered: list[tuple[str, nn.Module, tuple[int, ...] | None]],
    input_size: InputSize,
) -> UsageError:
    """What to say of a forward that raised, from where it was."""
    image = "x".join(map(str, input_size))
    if not entered:
        return UsageError(f"the model's forward fails: {type(error).__name__}: {error}", got=image)
    name, module, shape = entered[-1]
    where = f"{name or 'the model itself'} ({type(module).__name__})"
    if shape is not None and _shrunk_away(module, shape):
        return UsageError(
            f"the input shrinks to zero: {where} is reached by {_shape_text(shape)}, "
            "smaller than its window",
            got=image,
            instead="give a larger input_size",
        )
    reached = f", which {_shape_text(shape)} reached" if shape is not None else ""
    return UsageError(
        f"the model's forward fails in {where}{reached}: {type(error).__name__}: {error}",
        got=image,
        instead="give the input_size (C, H, W) that the model takes; "
        "it must run on the meta device, so keep its tensors in parameters and buffers",
    )


def _shrunk_away(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether the map is empty or smaller than the module's convolution or pooling window."""
    sides = shape[-2:] if len(shape) == 4 else ()
    if 0 in sides:
        return True
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return False
    padding = 0 if isinstance(module.padding, str) else module.padding
    dilation = getattr(module, "dilation", 1)
    return any(
        side + 2 * _along(padding, axis) < _along(dilation, axis) * (window - 1) + 1
        for axis, side in enumerate(sides)
        for window in (_along(module.kernel_size, axis),)
    )


def _along(value: int | tuple[int, ...], axis: int) -> int:
    """A setting that torch lets be one number or one for each axis."""
    return value if isinstance(value, int) else value[axis]


def _shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
