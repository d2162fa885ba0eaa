"""MnasNet-A1 at four widths and its augmented form (Bello et al. 2019, section 4.2, table 4).

A1 is the MnasNet with squeeze-excite (Tan et al. 2019): timm's ``semnasnet``; torchvision's is B1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import timm
from timm.models import efficientnet
from torch import nn

from aabench.networks.augment_options import AugmentOptions, overridden
from aabench.networks.augmenting import augment
from aabench.networks.input_resolution import Resolution, image_size

AUGMENTED_LAYERS = ("blocks.[2-6].*.conv_pw",)
"""The expansion 1x1 of the 13 inverted bottlenecks from 28 px on, the head convolution left alone.

Where one is too narrow for a value channel a head, such as the first 72 at width 1, it stays.
"""

RULE: AugmentOptions = {
    "heads": 4,
    "kappa": "0.1",
    "upsilon": "0.05",
    "min_key_depth_per_head": 0,
    "downsample": {"blocks.2.*": 2, "blocks.3.0.*": 2},
}
"""kappa = 2 upsilon = 0.1 with 4 heads, with no least key depth.

Attention at 56 px runs at 28 and at 28 px runs at 14: the paper does not say so; its sizes fit it.
"""


def mnasnet_0_75(*, num_classes: int = 1000) -> nn.Module:
    """MnasNet-A1 of width 0.75 (Tan et al. 2019): timm's."""
    return timm.create_model("semnasnet_075", num_classes=num_classes)


def mnasnet_1_0(*, num_classes: int = 1000) -> nn.Module:
    """MnasNet-A1 (Tan et al. 2019): timm's."""
    return timm.create_model("semnasnet_100", num_classes=num_classes)


def mnasnet_1_25(*, num_classes: int = 1000) -> nn.Module:
    """MnasNet-A1 of width 1.25 (Bello et al. 2019, table 4), by what makes timm's other widths."""
    # timm registers no such width, and its registered functions fix theirs.
    make: Callable[..., nn.Module] = efficientnet._gen_mnasnet_a1
    return make("semnasnet_100", 1.25, num_classes=num_classes)


def mnasnet_1_4(*, num_classes: int = 1000) -> nn.Module:
    """MnasNet-A1 of width 1.4 (Bello et al. 2019, table 4): timm's."""
    return timm.create_model("semnasnet_140", num_classes=num_classes)


def aa_mnasnet_0_75(
    *, resolution: Resolution = 224, num_classes: int = 1000, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-MnasNet of width 0.75: ``AUGMENTED_LAYERS`` by ``RULE``."""
    return _augmented(mnasnet_0_75(num_classes=num_classes), resolution, changes)


def aa_mnasnet_1_0(
    *, resolution: Resolution = 224, num_classes: int = 1000, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-MnasNet: ``AUGMENTED_LAYERS`` by ``RULE``."""
    return _augmented(mnasnet_1_0(num_classes=num_classes), resolution, changes)


def aa_mnasnet_1_25(
    *, resolution: Resolution = 224, num_classes: int = 1000, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-MnasNet of width 1.25: ``AUGMENTED_LAYERS`` by ``RULE``."""
    return _augmented(mnasnet_1_25(num_classes=num_classes), resolution, changes)


def aa_mnasnet_1_4(
    *, resolution: Resolution = 224, num_classes: int = 1000, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-MnasNet of width 1.4: ``AUGMENTED_LAYERS`` by ``RULE``."""
    return _augmented(mnasnet_1_4(num_classes=num_classes), resolution, changes)


def _augmented(model: nn.Module, resolution: Resolution, changes: AugmentOptions) -> nn.Module:
    return augment(
        model, AUGMENTED_LAYERS, input_size=image_size(resolution), **overridden(RULE, changes)
    )
