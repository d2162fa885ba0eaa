"""The count of a network: parameters and forward FLOPs of one image, nothing run but on meta."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from aabench.cases.network_catalogue import NETWORKS
from aabench.networks.augmenting import augmented_layers
from aabench.networks.building import build_network

FORM = "broadcast"
"""The attention form that does what the form-independent count says, and nothing else."""


@dataclass(frozen=True, slots=True)
class NetworkCount:
    """What one network costs; exact.

    Attributes:
        params: parameters.
        flops: of one image forward, two a multiply-accumulate, convolutions and matrix products.
        map_macs: multiply-accumulates of q k^T and of weights times v in augmented convolutions.
    """

    params: int
    flops: int
    map_macs: int


def count_network(
    name: str, resolution: int | tuple[int, int] | None = None, **options: object
) -> NetworkCount:
    """Count a network for images of a resolution, by default the one of its catalogue entry.

    The attention is counted as ``FORM`` unless ``attention`` is among the options.

    Args:
        name: as for ``aabench.networks.building.build_network``.
        resolution: (H, W), or one number for both.
        **options: what the network's builder takes.

    Raises:
        UsageError: what ``build_network`` refuses.
    """
    size = resolution or NETWORKS.entry(name).resolution
    # A list, as attention_groups may be, cannot be a key.
    hashable = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    return _counted(name, size, tuple(sorted(hashable.items())))


def count_model(model: nn.Module, image: torch.Tensor) -> NetworkCount:
    """Count a model that is already there.

    Args:
        model: in evaluation mode, on the meta device.
        image: one image there.
    """
    layers = [replacement.layer for replacement in augmented_layers(model)]
    return NetworkCount(
        params=sum(parameter.numel() for parameter in model.parameters()),
        flops=forward_flops(model, image),
        map_macs=sum(layer.tokens**2 * (layer.dk + layer.dv) for layer in layers),
    )


def counted_form(name: str, options: dict[str, object]) -> dict[str, object]:
    """The options with the attention form that is counted, if the network has attention forms."""
    takes_form = "attention" in NETWORKS.entry(name).options
    return {"attention": FORM, **options} if takes_form else options


def forward_flops(model: nn.Module, image: torch.Tensor) -> int:
    """What torch's own counter counts in one forward of a model on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return int(counter.get_total_flops())


@cache
def _counted(
    name: str, resolution: int | tuple[int, int], options: tuple[tuple[str, object], ...]
) -> NetworkCount:
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    with torch.device("meta"):
        model = build_network(name, resolution=resolution, **counted_form(name, dict(options)))
        image = torch.empty(1, 3, height, width)
    return count_model(model.eval(), image)
