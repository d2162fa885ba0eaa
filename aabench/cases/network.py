"""The network: one whole network by name, what is changed of it, and the resolution of its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aabench.cases.network_catalogue import (
    AUGMENT_OPTIONS,
    NETWORKS,
    NO_ATTENTION,
    NetworkEntry,
)

SETTINGS = ("kernel_size", "downsample", "heads", "dk", "dv", "kappa", "upsilon", "position")
"""What can be changed of a network that has it."""

PATTERN_SEPARATOR = "+"
"""Between several patterns of one augmentation: the comma separates the values of an axis."""


DOWNSAMPLE_SIGN = "@"
"""Between a pattern and how much coarser than its output what it matches attends."""


@dataclass(frozen=True, slots=True)
class Network:
    """One whole network; a setting that is None is the network's own.

    Attributes:
        name: as ``aabench.networks.building.build_network`` takes it.
        channels: of its input image.
        height: of its input image.
        width: of its input image.
        augment: fnmatch patterns on the names of its modules, joined by ``+``: the convolutions that
            are augmented beyond what the network has of itself; None for none. ``@2`` after a
            pattern lets what it matches attend at half of its output's resolution.
        kernel_size: side of a local attention's window.
        downsample: how much coarser than its output a layer attends.
        heads: Nh.
        dk: key depth of all heads together.
        dv: value depth of all heads together.
        kappa: dk/Fout as decimal text.
        upsilon: dv/Fout as decimal text.
        position: the position encoding.
        min_key_depth_per_head: the floor on dk/Nh where dk comes from kappa.
    """

    name: str
    channels: int
    height: int
    width: int
    augment: str | None = None
    kernel_size: int | None = None
    downsample: int | None = None
    heads: int | None = None
    dk: int | None = None
    dv: int | None = None
    kappa: str | None = None
    upsilon: str | None = None
    position: str | None = None
    min_key_depth_per_head: int | None = None

    @classmethod
    def of(cls, point: Mapping[str, Any], floor: int | None = None) -> Network:
        """The network of one point of a grid; where no resolution is given, its paper's."""
        name = point["network"]
        side = NETWORKS.entry(name).resolution
        height, width = point.get("resolution") or (side, side)
        asked = {setting: point.get(setting) for setting in SETTINGS}
        for ratio in ("kappa", "upsilon"):
            value = asked[ratio]
            asked[ratio] = None if value is None else format(value, "f")
        return cls(
            name,
            point.get("image_channels", 3),
            height,
            width,
            augment=point.get("augment"),
            min_key_depth_per_head=floor,
            **asked,
        )

    @property
    def entry(self) -> NetworkEntry:
        """What the catalogue says of it."""
        return NETWORKS.entry(self.name)

    @property
    def patterns(self) -> dict[str, int]:
        """The patterns of the convolutions that are augmented, and the downsampling of each."""
        found = {}
        for part in self.augment.split(PATTERN_SEPARATOR) if self.augment else ():
            pattern, _, factor = part.partition(DOWNSAMPLE_SIGN)
            found[pattern] = int(factor) if factor else self.downsample or 1
        return found

    @property
    def takes(self) -> tuple[str, ...]:
        """The settings that make a difference to it, ``attention`` among them if it has a form."""
        return AUGMENT_OPTIONS if self.augment else self.entry.options

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are not its own, by name."""
        names = (*SETTINGS, "min_key_depth_per_head")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def unused(self) -> list[str]:
        """The settings asked for that make no difference to this network."""
        return [name for name in SETTINGS if name in self.settings and name not in self.takes]

    def canonical(self) -> Network:
        """The same network under its one name: without settings that it does not have."""
        idle: dict[str, Any] = {name: None for name in self.settings if name not in self.takes}
        return replace(self, **idle) if idle else self

    @property
    def is_plain(self) -> bool:
        """Whether there is no network that it is to be compared with."""
        return not self.augment and self.entry.plain is None

    @property
    def takes_form(self) -> bool:
        """Whether an attention form makes a difference to it."""
        return "attention" in self.takes

    @property
    def own_attention(self) -> str:
        """What stands for the form where it takes none."""
        return self.entry.own_attention or NO_ATTENTION

    def plain(self) -> Network:
        """The network it is compared with, for the same image; of a plain one, itself."""
        name = self.name if self.augment else self.entry.plain or self.name
        return Network(name, self.channels, self.height, self.width)
