"""``augment()``: augmented convolutions in the place of chosen convolutions of any torch model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from aabench.cases.case import Layer
from aabench.cases.choice import AUTO
from aabench.cases.depths import PUBLISHED_KEY_DEPTH_PER_HEAD, Ratio, key_depth, value_depth
from aabench.errors import UsageError
from aabench.layers.arguments import count, ratio
from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.networks.meta_trace import InputSize, meta_copy, reached_resolutions, run_on_meta
from aabench.networks.module_swap import swap_modules
from aabench.networks.plan import Plan
from aabench.networks.planned import follow_plan
from aabench.networks.selection import (
    Candidate,
    Selection,
    check_augmentable,
    downsample_of,
    matching_convolutions,
)

Model = TypeVar("Model", bound=nn.Module)

MOST_TOKENS = 128 * 128
"""The largest attention map that ``augment`` makes unless told otherwise, in pixels."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """An augmented convolution of a model: its module name, and the layer it is."""

    name: str
    layer: Layer


@dataclass(frozen=True, slots=True)
class _Depths:
    """How dk and dv follow from a convolution's output channels."""

    heads: int
    kappa: Ratio | None
    upsilon: Ratio | None
    dk: int | None
    dv: int | None
    minimum: int

    def __post_init__(self) -> None:
        count("heads", self.heads)
        count("min_key_depth_per_head", self.minimum, least=0)
        for depth, share in (("dk", "kappa"), ("dv", "upsilon")):
            given = [name for name in (depth, share) if getattr(self, name) is not None]
            if len(given) != 1:
                raise UsageError(
                    f"the {'keys' if depth == 'dk' else 'values'} need exactly one of "
                    f"{depth} and {share}",
                    got=" and ".join(given) or "neither",
                    instead=f"give {depth} in channels, or {share} as a share of the outputs",
                )

    def of(self, out_channels: int) -> tuple[int, int]:
        """(dk, dv) of a convolution with these outputs."""
        dk, dv = self.dk, self.dv
        if dk is None:
            dk = key_depth(ratio("kappa", self.kappa or 0), out_channels, self.heads, self.minimum)
        if dv is None:
            dv = value_depth(ratio("upsilon", self.upsilon or 0, most=1), out_channels, self.heads)
        return dk, dv


def augment(
    model: Model,
    layers: Selection | None = None,
    *,
    plan: str | Path | None = None,
    kappa: Ratio | None = None,
    upsilon: Ratio | None = None,
    heads: int = 8,
    dk: int | None = None,
    dv: int | None = None,
    attention: str = AUTO,
    downsample: int | Mapping[str, int] = 1,
    position: str = "relative",
    min_key_depth_per_head: int = PUBLISHED_KEY_DEPTH_PER_HEAD,
    input_size: InputSize = (3, 224, 224),
    copy_filters: bool = False,
    most_tokens: int = MOST_TOKENS,
) -> Model:
    """Put ``AugmentedConv2d`` in the place of chosen convolutions of a model (Bello et al. 2019).

    The model is changed **in place** and returned; deep-copy it first to keep it. Where anything
    is refused it is left as it was. ``augmented_layers(model)`` accounts for what was replaced.

    A replacement has the convolution's channels, window, stride, device, data type, training mode
    and, if it has one, bias (then the attention's projections have one too). The resolution it is
    built for is found by one forward on the meta device, in evaluation mode and without memory.
    A convolution shared by several modules stays shared. One whose depth dv comes out as 0 stays
    as it is.

    Args:
        model: any model whose forward takes one batch of images.
        layers: fnmatch pattern(s) on the names of ``model.named_modules()``, which must match
            convolutions only; or a function that is asked of every ``Candidate`` reached, which
            knows name, convolution and resolution.
        plan: instead of everything else, a file that ``aabench fit --write`` made: its layers, each
            with its own depths, and its checkpointing.
        kappa: dk/Fout; dk = max(min_key_depth_per_head Nh, floor(kappa Fout / Nh) Nh).
        upsilon: dv/Fout; dv = floor(upsilon Fout / Nh) Nh.
        heads: Nh.
        dk: channels of the keys, instead of kappa.
        dv: channels of the values, instead of upsilon.
        attention: as in ``AugmentedConv2d``.
        downsample: how much coarser than its output a layer attends, or that by name pattern:
            the first that matches counts, 1 where none does.
        position: as in ``AugmentedConv2d``.
        min_key_depth_per_head: the least dk/Nh that kappa gives; 20 in the published networks.
        input_size: (C, H, W) of the largest image the model will see.
        copy_filters: start from the convolution's first Fout - dv filters instead of new ones.
        most_tokens: the largest attention map, in pixels.

    Raises:
        UsageError: no such layers, layers that cannot be augmented, depths that do not go
            together, a map too large, a model whose forward fails on such an image, or a plan for
            another network.
    """
    if plan is not None:
        _check_alone(layers, kappa, upsilon, dk, dv)
        follow_plan(model, Plan.read(plan))
        return model
    if layers is None:
        raise UsageError("nothing says which layers to augment", instead="give layers or plan")
    depths = _Depths(heads, kappa, upsilon, dk, dv, min_key_depth_per_head)
    tracer = meta_copy(model)
    replacements: dict[str, AugmentedConv2d] = {}
    for candidate in _selected(model, tracer, layers, input_size):
        check_augmentable(candidate.name, candidate.convolution)
        key_channels, value_channels = depths.of(candidate.convolution.out_channels)
        if value_channels == 0:
            continue
        replacements[candidate.name] = _augmented(
            candidate,
            most_tokens,
            dk=key_channels,
            dv=value_channels,
            heads=heads,
            attention=attention,
            position=position,
            downsample=downsample_of(candidate.name, downsample),
        )
    if not replacements:
        raise UsageError(
            "no chosen convolution has room for attention: dv comes out as 0",
            got=f"upsilon={upsilon}, dv={dv}, heads={heads}",
            instead="raise upsilon or lower heads",
        )
    # The copy goes first: where the model's own code needs a Conv2d there, the model stays whole.
    swap_modules(tracer, {name: meta_copy(layer) for name, layer in replacements.items()})
    run_on_meta(tracer, input_size)
    if copy_filters:
        for name, layer in replacements.items():
            _copy_filters(model.get_submodule(name), layer)
    swap_modules(model, replacements)
    return model


def augmented_layers(model: nn.Module) -> tuple[Replacement, ...]:
    """Every augmented convolution of a model with its Nh, dk, dv and resolution, in its order."""
    return tuple(
        Replacement(name, module.specification)
        for name, module in model.named_modules()
        if isinstance(module, AugmentedConv2d)
    )


def _check_alone(*others: object) -> None:
    """Refuse what a plan already says."""
    given = [repr(other) for other in others if other is not None]
    if given:
        raise UsageError(
            "a plan says which layers are augmented and how",
            got=f"a plan and {', '.join(given)}",
            instead="give a plan, or layers with kappa and upsilon",
        )


def _selected(
    model: nn.Module, tracer: nn.Module, layers: Selection, input_size: InputSize
) -> list[Candidate]:
    """The chosen convolutions of the model, with the resolutions that reach them in the tracer."""
    if callable(layers):
        names = [name for name, each in model.named_modules() if name and _is_convolution(each)]
    else:
        names = matching_convolutions(model, layers)
    reached = reached_resolutions(tracer, names, input_size)
    if callable(layers):
        candidates = [_candidate(model, name, reached) for name in names if name in reached]
        chosen = [candidate for candidate in candidates if layers(candidate)]
        if not chosen:
            raise UsageError(
                "the function chooses none of the model's convolutions",
                got=getattr(layers, "__name__", repr(layers)),
                allowed=f"any of the {len(candidates)} that the forward reaches",
            )
        return chosen
    unreached = [name for name in names if name not in reached]
    if unreached:
        raise UsageError(
            "the model's forward does not call a chosen convolution, so its resolution is unknown",
            got=unreached[0],
            instead="leave it out of layers",
        )
    return [_candidate(model, name, reached) for name in names]


def _candidate(model: nn.Module, name: str, reached: Mapping[str, tuple[int, int]]) -> Candidate:
    convolution = model.get_submodule(name)
    assert isinstance(convolution, nn.Conv2d)
    return Candidate(name, convolution, reached[name])


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def _augmented(candidate: Candidate, most_tokens: int, **attention: Any) -> AugmentedConv2d:
    """The layer for a convolution's place, on its device and in its data type.

    Raises:
        UsageError: its attention map is too large, or it cannot exist.
    """
    old = candidate.convolution
    _check_size(candidate, most_tokens, attention["heads"], attention["downsample"])
    try:
        with torch.device(old.weight.device):
            layer = AugmentedConv2d(
                old.in_channels,
                old.out_channels,
                old.kernel_size[0],
                stride=old.stride[0],
                bias=old.bias is not None,
                resolution=candidate.resolution,
                **attention,
            )
    except UsageError as error:
        raise UsageError(f"{candidate.name} cannot be augmented like this: {error}") from error
    return layer.to(old.weight.dtype).train(old.training)


def _check_size(candidate: Candidate, most_tokens: int, heads: int, downsample: int) -> None:
    step = candidate.convolution.stride[0] * count("downsample", downsample)
    height, width = (-(-side // step) for side in candidate.resolution)
    tokens = height * width
    if tokens <= most_tokens:
        return
    gibibytes = heads * tokens**2 * 4 / 2**30
    raise UsageError(
        f"the attention of {candidate.name} is too large: a map of {height}x{width} pixels "
        f"has {heads} x {tokens}^2 logits, {gibibytes:.3g} GiB an image in fp32",
        got=f"{tokens} pixels",
        allowed=f"up to most_tokens = {most_tokens}",
        instead="give a downsample or a smaller input_size, leave the layer out, "
        "or raise most_tokens",
    )


def _copy_filters(old: nn.Module, new: AugmentedConv2d) -> None:
    """The first Fout - dv filters and biases, which stay convolutional, from the old layer."""
    assert isinstance(old, nn.Conv2d)
    if new.conv is None:
        return
    with torch.no_grad():
        kept = new.conv.out_channels
        new.conv.weight.copy_(old.weight[:kept])
        if old.bias is not None and new.conv.bias is not None:
            new.conv.bias.copy_(old.bias[:kept])
