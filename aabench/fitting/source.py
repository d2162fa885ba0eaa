"""The source: where the network that is to fit comes from, a name of the catalogue or a model at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import nn

from aabench.cases.network import Network
from aabench.errors import UsageError
from aabench.modules.unfilled import UnfilledMode
from aabench.networks.augmenting import Replacement, augment, augmented_layers
from aabench.networks.case_network import build_case_network
from aabench.networks.meta_trace import InputSize, meta_copy
from aabench.networks.selection import Selection


class Source(Protocol):
    """Makes a network without attention and the same with all its attention, on the meta device."""

    @property
    def name(self) -> str:
        """What tables call the network."""

    @property
    def plain_name(self) -> str:
        """What tables and plans call the network without attention."""

    @property
    def input_size(self) -> InputSize:
        """(C, H, W) of one image."""

    def plain(self) -> nn.Module:
        """The network without attention."""

    def augmented(self) -> nn.Module:
        """The network with all its attention."""

    def changed(self, **changes: Any) -> Source:
        """With other ``heads``, ``kappa``, ``upsilon``, ``downsample`` or ``resolution`` (H, W)."""

    def recipe(self) -> str:
        """Lines of Python that make the plain network."""

    def own_recipe(self) -> str:
        """Lines of Python that make the network where no plan can, since its attention is its own."""


@dataclass(frozen=True)
class NamedNetwork:
    """A network of the catalogue.

    Attributes:
        network: what a case says of it.
    """

    network: Network

    @property
    def name(self) -> str:
        """Its name."""
        return self.network.name

    @property
    def plain_name(self) -> str:
        """The name of the network that it is compared with."""
        return self.network.plain().name

    @property
    def input_size(self) -> InputSize:
        """(C, H, W) of one image."""
        return self.network.channels, self.network.height, self.network.width

    def plain(self) -> nn.Module:
        """The network that it is compared with."""
        return _on_meta(self.network.plain())

    def augmented(self) -> nn.Module:
        """The network itself."""
        return _on_meta(self.network)

    def changed(self, **changes: Any) -> NamedNetwork:
        """The same network with other settings."""
        values = dict(changes)
        if "resolution" in values:
            values["height"], values["width"] = values.pop("resolution")
        for ratio, depth in (("kappa", "dk"), ("upsilon", "dv")):
            if ratio in values:
                values[ratio], values[depth] = str(values[ratio]), None
        if "downsample" in values and self.network.augment:
            bare = [pattern.partition("@")[0] for pattern in self.network.augment.split("+")]
            values["augment"] = "+".join(bare)
        return NamedNetwork(replace(self.network, **values))

    def recipe(self) -> str:
        """The lines that build the plain network."""
        return _building(self.plain_name)

    def own_recipe(self) -> str:
        """The lines that build the network itself, where its attention is its own."""
        return _building(self.name)


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A model at hand, and how ``augment()`` is to be called with it; it is not changed.

    Attributes:
        model: on any device.
        layers: as ``augment`` takes it.
        input_size: (C, H, W) of one image.
        options: what else ``augment`` takes.
    """

    model: nn.Module
    layers: Selection
    input_size: InputSize
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its class, augmented."""
        return f"augmented {self.plain_name}"

    @property
    def plain_name(self) -> str:
        """Its class."""
        return type(self.model).__name__

    def plain(self) -> nn.Module:
        """A copy on the meta device."""
        return meta_copy(self.model)

    def augmented(self) -> nn.Module:
        """An augmented copy on the meta device."""
        return augment(
            meta_copy(self.model), self.layers, input_size=self.input_size, **self.options
        )

    def changed(self, **changes: Any) -> GivenModel:
        """The same model with other options."""
        values = dict(changes)
        size = self.input_size
        if "resolution" in values:
            height, width = values.pop("resolution")
            size = (size[0], height, width)
        options = {**self.options, **values}
        for ratio, depth in (("kappa", "dk"), ("upsilon", "dv")):
            if ratio in values:
                options.pop(depth, None)
        return GivenModel(self.model, self.layers, size, options)

    def recipe(self) -> str:
        """The line that stands for the user's own."""
        return f"model = ...  # your {self.plain_name}"

    def own_recipe(self) -> str:
        """The same: a model at hand has no other attention."""
        return self.recipe()


@dataclass(frozen=True, eq=False)
class Built:
    """A source's two networks, built once.

    Attributes:
        source: of both.
    """

    source: Source

    @cached_property
    def plain(self) -> nn.Module:
        """Without attention; on the meta device."""
        return self.source.plain()

    @cached_property
    def augmented(self) -> nn.Module:
        """With all attention; on the meta device."""
        return self.source.augmented()

    @cached_property
    def layers(self) -> tuple[Replacement, ...]:
        """The augmented convolutions, in the network's order; none where attention is of other kinds."""
        convolutions = dict(self.plain.named_modules())
        found = augmented_layers(self.augmented)
        return tuple(each for each in found if isinstance(convolutions.get(each.name), nn.Conv2d))


def check_augments(network: Network) -> None:
    """Make sure that a network has attention.

    Raises:
        UsageError: there is nothing to augment.
    """
    if network.is_plain:
        raise UsageError(
            f"nothing to augment: {network.name} has no attention",
            got=network.name,
            instead="give --augment PATTERN, such as --augment 'layer4.*.conv2', or an augmented "
            "network of aabench list networks",
        )


def _building(name: str) -> str:
    is_own = ":" in name and name.partition(":")[0] not in ("timm", "torchvision")
    hint = "" if is_own else "  # num_classes=N for classes of your own"
    return (
        "from aabench.networks.building import build_network\n"
        f'model = build_network("{name}"){hint}'
    )


def _on_meta(network: Network) -> nn.Module:
    with torch.device("meta"), UnfilledMode():
        model = build_case_network(network)
    return model.to("meta")  # a user's function need not mind torch's default device
