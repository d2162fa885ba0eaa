"""RetinaNet on ResNets, as Bello et al. 2019, section 4.4, table 5, compares its backbones.

The network up to its raw outputs, without anchors, losses and suppression: that is what is costed.
"""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from aabench.networks.augment_options import AugmentOptions, overridden
from aabench.networks.augmenting import augment
from aabench.networks.input_resolution import Resolution, image_size
from aabench.networks.resnet import (
    BOTTLENECK_LAYERS,
    BOTTLENECK_RULE,
    resnet50,
    resnet101,
    se_resnet50,
)

PYRAMID_CHANNELS = 256
ANCHORS = 6
"""Anchors of each pixel; the printed 33.4M fit 6 of them and 90 classes."""


class RetinaNet(nn.Module):
    """Backbone, feature pyramid and heads (Lin et al. 2017), from torchvision's parts.

    Levels P3 to P7 at 1/8 to 1/128 of the image, P6 and P7 made from P5; two heads of four 3x3
    convolutions of 256 channels, shared by the levels.

    Args:
        backbone: a ResNet of bottlenecks with stages ``layer1`` to ``layer4``.
        num_classes: outputs of the classification head.
    """

    def __init__(self, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.backbone = BackboneWithFPN(
            backbone,
            return_layers={"layer2": "p3", "layer3": "p4", "layer4": "p5"},
            in_channels_list=[512, 1024, 2048],
            out_channels=PYRAMID_CHANNELS,
            extra_blocks=LastLevelP6P7(PYRAMID_CHANNELS, PYRAMID_CHANNELS),
        )
        self.head = RetinaNetHead(PYRAMID_CHANNELS, ANCHORS, num_classes)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) to ``cls_logits`` (B, A, num_classes) and ``bbox_regression`` (B, A, 4)."""
        outputs: dict[str, Tensor] = self.head(list(self.backbone(x).values()))
        return outputs


def retinanet_resnet50(*, num_classes: int = 90) -> nn.Module:
    """RetinaNet (Lin et al. 2017) on ``resnet50``."""
    return RetinaNet(resnet50(), num_classes)


def retinanet_resnet101(*, num_classes: int = 90) -> nn.Module:
    """RetinaNet (Lin et al. 2017) on ``resnet101``."""
    return RetinaNet(resnet101(), num_classes)


def se_retinanet_resnet50(*, num_classes: int = 90) -> nn.Module:
    """RetinaNet on ``se_resnet50`` (Hu et al. 2018)."""
    return RetinaNet(se_resnet50(), num_classes)


def aa_retinanet_resnet50(
    *, resolution: Resolution = 640, num_classes: int = 90, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """RetinaNet with the backbone augmented as ``aa_resnet50`` (Bello et al. 2019, table 5).

    The stated rule's 8 heads give 33.67M where the paper prints 33.1M; 2 heads give 33.01M.
    """
    return _augmented(retinanet_resnet50(num_classes=num_classes), resolution, changes)


def aa_retinanet_resnet101(
    *, resolution: Resolution = 640, num_classes: int = 90, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """RetinaNet with the backbone augmented as ``aa_resnet101`` (Bello et al. 2019, table 5).

    The stated rule's 8 heads give 53.29M where the paper prints 51.7M; 2 heads give 51.68M.
    """
    return _augmented(retinanet_resnet101(num_classes=num_classes), resolution, changes)


def _augmented(model: nn.Module, resolution: Resolution, changes: AugmentOptions) -> nn.Module:
    body = "backbone.body."
    rule = overridden(BOTTLENECK_RULE, {"downsample": {f"{body}layer2.*": 2}})
    return augment(
        model,
        [body + pattern for pattern in BOTTLENECK_LAYERS],
        input_size=image_size(resolution),
        **overridden(rule, changes),
    )
