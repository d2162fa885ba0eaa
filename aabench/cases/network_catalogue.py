"""The catalogue of whole networks: their names, the input they are made for, the plain one beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from aabench.cases.catalogue import Catalogue, Entry
from aabench.errors import UnknownName

CIFAR, IMAGENET, COCO, BOTNET = 32, 224, 640, 1024
"""The side, in pixels, of the images that the papers cost their networks with."""

LIBRARIES = ("timm:", "torchvision:")
"""What begins the names of models of other libraries."""

NO_ATTENTION = "none"
"""What stands for an attention form where there is no attention."""

LOCAL_ATTENTION = "local"
"""What stands for an attention form where every pixel attends to a window around it."""

AUGMENT_OPTIONS = (
    "downsample",
    "heads",
    "dk",
    "dv",
    "kappa",
    "upsilon",
    "position",
    "min_key_depth_per_head",
    "attention",
)
"""What can be changed of networks made by augmenting convolutions."""


@dataclass(frozen=True, slots=True)
class NetworkEntry(Entry):
    """One network.

    Attributes:
        resolution: height and width of the images that its paper costs it with.
        plain: the name of the network it is compared with, None for a plain network.
        options: the settings of ``aabench.cases.network`` that it takes.
        own_attention: what stands for an attention form where it has attention that takes none.
    """

    resolution: int = IMAGENET
    plain: str | None = None
    options: tuple[str, ...] = ()
    own_attention: str | None = None


class NetworkCatalogue(Catalogue):
    """Networks by name, those of timm and torchvision by ``timm:NAME`` and ``torchvision:NAME``."""

    def __init__(self, entries: list[NetworkEntry]) -> None:
        super().__init__("network", list(entries), entry_point_group="aabench.networks")

    def __iter__(self) -> Iterator[NetworkEntry]:
        return map(_as_network, super().__iter__())

    def entry(self, name: str) -> NetworkEntry:
        """The entry of a name; networks from elsewhere are costed at ImageNet's resolution.

        Whether timm or torchvision has a model of the name is known when it is built.

        Raises:
            UnknownName: no such name; the nearest ones are offered.
        """
        try:
            return _as_network(super().entry(name))
        except UnknownName as error:
            raise UnknownName(
                self.kind,
                name,
                [*self.names(), "timm:NAME", "torchvision:NAME", "package.module:function"],
            ) from error


def _as_network(entry: Entry) -> NetworkEntry:
    if isinstance(entry, NetworkEntry):
        return entry
    return NetworkEntry(entry.name, entry.target, entry.summary)


def _family(module: str, resolution: int, *rows: tuple[str, str | None, str]) -> list[NetworkEntry]:
    """Entries of one module, whose functions are the names in Python's spelling."""
    return [
        NetworkEntry(
            name,
            f"aabench.networks.{module}:{name.replace('-', '_').replace('.', '_')}",
            summary,
            resolution=resolution,
            plain=plain,
            options=AUGMENT_OPTIONS if "aa-" in name else (),
        )
        for name, plain, summary in rows
    ]


_RESNETS = _family(
    "resnet",
    IMAGENET,
    ("resnet34", None, "ResNet-34 with a projection in the first stage"),
    ("resnet50", None, "ResNet-50, the stride on the 3x3"),
    ("resnet101", None, "ResNet-101, the stride on the 3x3"),
    ("resnet152", None, "ResNet-152, the stride on the 3x3"),
    ("se-resnet34", "resnet34", "squeeze-excite in every block, reduction 16"),
    ("se-resnet50", "resnet50", "squeeze-excite in every block, reduction 16"),
    ("se-resnet101", "resnet101", "squeeze-excite in every block, reduction 16"),
    ("se-resnet152", "resnet152", "squeeze-excite in every block, reduction 16"),
    ("aa-resnet34", "resnet34", "attention in the last three stages, kappa = upsilon = 0.25"),
    ("aa-resnet50", "resnet50", "attention in the last three stages, kappa = 0.2, upsilon = 0.1"),
    ("aa-resnet101", "resnet101", "attention in the last three stages, as in aa-resnet50"),
    ("aa-resnet152", "resnet152", "attention in the last three stages, as in aa-resnet50"),
)

_WIDE_RESNETS = _family(
    "wide_resnet",
    CIFAR,
    ("wrn28-10", None, "Wide-ResNet-28-10 for CIFAR, weightless shortcuts"),
    ("se-wrn28-10", "wrn28-10", "squeeze-excite in every block, reduction 16"),
    ("ge-wrn28-10", "wrn28-10", "gather-excite without parameters in every block"),
    ("aa-wrn28-10", "wrn28-10", "attention in the first convolution of every block"),
    ("aa-nre-wrn28-10", "wrn28-10", "aa-wrn28-10 with no relative positions"),
)

_MNASNETS = [
    entry
    for width in ("0.75", "1.0", "1.25", "1.4")
    for entry in _family(
        "mnasnet",
        IMAGENET,
        (f"mnasnet-{width}", None, f"MnasNet-A1 of width {width}, with squeeze-excite"),
        (f"aa-mnasnet-{width}", f"mnasnet-{width}", "attention in the expansions from 28 px on"),
    )
]

_RETINANETS = _family(
    "retinanet",
    COCO,
    ("retinanet-resnet50", None, "RetinaNet up to its raw outputs, on ResNet-50"),
    ("retinanet-resnet101", None, "RetinaNet up to its raw outputs, on ResNet-101"),
    ("se-retinanet-resnet50", "retinanet-resnet50", "the backbone with squeeze-excite"),
    ("aa-retinanet-resnet50", "retinanet-resnet50", "the backbone augmented as aa-resnet50"),
    ("aa-retinanet-resnet101", "retinanet-resnet101", "the backbone augmented as aa-resnet101"),
)

_BOTTLENECK_RESNETS = _family(
    "sasa_resnet",
    IMAGENET,
    ("resnet26", None, "ResNet-26 of bottlenecks, the stride on the 3x3"),
    ("resnet38", None, "ResNet-38 of bottlenecks, the stride on the 3x3"),
)

_STAND_ALONE = _family(
    "sasa_resnet",
    IMAGENET,
    ("sasa-resnet26", "resnet26", "7x7 local attention for every 3x3, convolutional stem"),
    ("sasa-resnet38", "resnet38", "7x7 local attention for every 3x3, convolutional stem"),
    ("sasa-resnet50", "resnet50", "7x7 local attention for every 3x3, convolutional stem"),
    ("sasa-resnet26-full", "resnet26", "sasa-resnet26 with an attentional stem of 4 mixtures"),
    ("sasa-resnet38-full", "resnet38", "sasa-resnet38 with an attentional stem of 4 mixtures"),
    ("sasa-resnet50-full", "resnet50", "sasa-resnet50 with an attentional stem of 4 mixtures"),
)

_BOTTLENECK_TRANSFORMERS = [
    NetworkEntry(
        "bot-resnet50",
        "aabench.networks.bottleneck_transformer:bot_resnet50",
        "BoT-50: global attention for the 3x3 of the last stage",
        resolution=BOTNET,
        plain="resnet50",
        options=("heads", "position", "attention"),
    )
]

_REPLICATION = _family(
    "replication",
    CIFAR,
    ("replication-resnet34", None, "ResNet-34 with ImageNet's stem on CIFAR-10"),
    ("replication-aa-resnet34", "replication-resnet34", "attention in the last stage only"),
    ("replication-wrn28-10", None, "Wide-ResNet-28-10 on CIFAR-10"),
    ("replication-aa-wrn28-10", "replication-wrn28-10", "attention in the third group only"),
    (
        "replication-aa-nre-wrn28-10",
        "replication-wrn28-10",
        "attention in the third group only, with no relative positions",
    ),
)

_DEBUG = _family(
    "resnet",
    CIFAR,
    ("debug-resnet", None, "a tiny ResNet for tests"),
    ("aa-debug-resnet", "debug-resnet", "the tiny ResNet with attention, for tests"),
)

NETWORKS = NetworkCatalogue(
    [
        *_RESNETS,
        *_WIDE_RESNETS,
        *_MNASNETS,
        *_RETINANETS,
        *_BOTTLENECK_RESNETS,
        *(
            replace(entry, options=("heads", "kernel_size"), own_attention=LOCAL_ATTENTION)
            for entry in _STAND_ALONE
        ),
        *_BOTTLENECK_TRANSFORMERS,
        *_REPLICATION,
        *_DEBUG,
    ]
)
"""Every network by name."""
