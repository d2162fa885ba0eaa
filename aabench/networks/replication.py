"""The CIFAR-10 networks of "Simplified Replication of Attention Augmented Convolutional Networks".

Memory let the replication augment only the last layers of its networks. It prints no sizes and
does not say Nh, dk and dv, so those here are Bello et al. 2019's for the same network.
"""

from __future__ import annotations

from typing import Unpack

import torchvision
from torch import nn

from aabench.networks.augment_options import AugmentOptions, overridden
from aabench.networks.augmenting import augment
from aabench.networks.input_resolution import Resolution, image_size
from aabench.networks.resnet import BASIC_BLOCK_RULE
from aabench.networks.wide_resnet import RULE as WIDE_RESNET_RULE
from aabench.networks.wide_resnet import wrn28_10

LAST_STAGE = ("layer4.*.conv1",)
"""The first 3x3 of each block of the last stage, which sees 2x2 pixels of a 32x32 image."""

THIRD_GROUP = ("groups.2.*.conv1",)
"""The first convolution of each block of the third group, at 8x8 pixels."""


def replication_resnet34(*, num_classes: int = 10) -> nn.Module:
    """ResNet-34 with ImageNet's stem on 32x32 images: torchvision's, without more projections."""
    model: nn.Module = torchvision.models.resnet34(num_classes=num_classes)
    return model


def replication_aa_resnet34(
    *, resolution: Resolution = 32, num_classes: int = 10, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """``replication_resnet34`` with ``LAST_STAGE`` augmented: maps of 1x1 pixel at 32x32."""
    return augment(
        replication_resnet34(num_classes=num_classes),
        LAST_STAGE,
        input_size=image_size(resolution),
        **overridden(BASIC_BLOCK_RULE, changes),
    )


def replication_wrn28_10(*, num_classes: int = 10) -> nn.Module:
    """``wrn28_10`` with ten classes; the replication does not describe its shortcuts."""
    return wrn28_10(num_classes=num_classes)


def replication_aa_wrn28_10(
    *, resolution: Resolution = 32, num_classes: int = 10, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """``replication_wrn28_10`` with ``THIRD_GROUP`` augmented."""
    return augment(
        replication_wrn28_10(num_classes=num_classes),
        THIRD_GROUP,
        input_size=image_size(resolution),
        **overridden(WIDE_RESNET_RULE, changes),
    )


def replication_aa_nre_wrn28_10(
    *, resolution: Resolution = 32, num_classes: int = 10, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """``replication_aa_wrn28_10`` with no relative positions."""
    without_positions: AugmentOptions = {"position": "none", **changes}
    return replication_aa_wrn28_10(
        resolution=resolution, num_classes=num_classes, **without_positions
    )
