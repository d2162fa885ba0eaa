"""``build_case_network()``: the network of a case, what is changed of it and augmented included."""

from __future__ import annotations

from typing import Any

from torch import nn

from aabench.cases.network import Network
from aabench.networks.augmenting import augment
from aabench.networks.building import build_network


def build_case_network(network: Network, attention: str = "auto") -> nn.Module:
    """The network on torch's default device, its augmentation included.

    Raises:
        UsageError: an unknown name, settings that it does not take, or a pattern that names no
            convolution that can be augmented.
    """
    options: dict[str, Any] = network.settings
    if "attention" in network.takes:
        options["attention"] = attention
    resolution = (network.height, network.width)
    if not network.augment:
        return build_network(network.name, resolution=resolution, **options)
    return augment(
        build_network(network.name, resolution=resolution),
        list(network.patterns),
        input_size=(network.channels, *resolution),
        **{**options, "downsample": network.patterns},
    )
