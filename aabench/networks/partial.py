"""Partly augmented networks: the plain network with some layers of the augmented one."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.networks.meta_trace import meta_copy
from aabench.networks.module_swap import swap_modules


def partly_augmented(plain: nn.Module, augmented: nn.Module, layers: Iterable[str]) -> nn.Module:
    """A copy, on the meta device, of the plain network with some of the augmented one's layers.

    Args:
        plain: the network without attention.
        augmented: the same network, some of whose layers are augmented convolutions.
        layers: names of such layers; no others are augmented in the copy.
    """
    model = meta_copy(plain)
    swap_modules(model, {name: meta_copy(augmented.get_submodule(name)) for name in layers})
    return model


def set_attention(model: nn.Module, attention: str) -> None:
    """Give all augmented convolutions of a model one attention form.

    Raises:
        UsageError: there is no such form.
    """
    for module in model.modules():
        if isinstance(module, AugmentedConv2d):
            module.attention = attention
