"""Following a plan: the augmented convolutions that it names, made for a model's own."""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch
from torch import nn

from aabench.errors import UsageError
from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.networks.checkpointing import checkpoint_modules
from aabench.networks.module_swap import swap_modules
from aabench.networks.plan import ANOTHER_NETWORK, Plan, PlannedLayer
from aabench.networks.selection import check_augmentable


def follow_plan(model: nn.Module, plan: Plan) -> None:
    """Augment a model in place as a plan says; where anything is refused it stays as it was.

    Raises:
        UsageError: the plan is for another network: says which module differs, and how.
    """
    modules = dict(model.named_modules())
    replacements = {
        layer.name: _augmented(_matching(modules, layer, plan), layer, plan.attention)
        for layer in plan.layers
    }
    for pattern in plan.checkpointed:
        if not any(fnmatchcase(name, pattern) for name in modules):
            raise _other(plan, f"the model has no module {pattern} to checkpoint")
    swap_modules(model, replacements)
    checkpoint_modules(model, plan.checkpointed)


def _matching(modules: dict[str, nn.Module], layer: PlannedLayer, plan: Plan) -> nn.Conv2d:
    """The convolution that a planned layer is to replace."""
    found = modules.get(layer.name)
    if isinstance(found, AugmentedConv2d):
        raise _other(plan, f"{layer.name} is augmented already")
    if not isinstance(found, nn.Conv2d):
        kind = "missing" if found is None else f"a {type(found).__name__}"
        raise _other(plan, f"{layer.name} should be a convolution and is {kind}")
    check_augmentable(layer.name, found)
    for what, planned, actual in (
        ("in_channels", layer.in_channels, found.in_channels),
        ("out_channels", layer.out_channels, found.out_channels),
        ("kernel_size", layer.kernel_size, found.kernel_size[0]),
        ("stride", layer.stride, found.stride[0]),
    ):
        if planned != actual:
            raise _other(plan, f"{layer.name} has {what} {actual} in place of {planned}")
    return found


def _other(plan: Plan, difference: str) -> UsageError:
    return UsageError(
        f"the plan is for another network: {difference}",
        got=f"a plan for {plan.network}",
        instead=ANOTHER_NETWORK,
    )


def _augmented(old: nn.Conv2d, layer: PlannedLayer, attention: str) -> AugmentedConv2d:
    """The planned layer on the convolution's device and in its data type."""
    with torch.device(old.weight.device):
        new = AugmentedConv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            dk=layer.dk,
            dv=layer.dv,
            heads=layer.heads,
            stride=layer.stride,
            position=layer.position,
            attention=attention,
            resolution=(layer.height, layer.width),
            bias=old.bias is not None,
            downsample=layer.downsample,
        )
    return new.to(old.weight.dtype).train(old.training)
