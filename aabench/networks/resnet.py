"""The ImageNet ResNets: torchvision's and timm's, and the augmented ones made from them.

Every augmented network is its plain one after ``augment()`` with the published rule; keyword
arguments beyond ``num_classes`` and ``resolution`` change parts of that rule.
"""

from __future__ import annotations

from typing import Any, Unpack

import torchvision
from torch import nn

from aabench.networks.augment_options import AugmentOptions, overridden
from aabench.networks.augmenting import augment
from aabench.networks.input_resolution import Resolution, image_size

BOTTLENECK_LAYERS = tuple(f"layer{stage}.*.conv2" for stage in (2, 3, 4))
"""The 3x3 convolution of each bottleneck of the last three stages (28, 14 and 7 px of 224)."""

BOTTLENECK_RULE: AugmentOptions = {
    "heads": 8,
    "kappa": "0.2",
    "upsilon": "0.1",
    "downsample": {"layer2.*": 2},
}
"""Bello et al. 2019, section 4.2: kappa = 2 upsilon = 0.2, the 28 px stage attending at 14 px."""

BASIC_BLOCK_LAYERS = tuple(f"layer{stage}.*.conv1" for stage in (2, 3, 4))
"""The first 3x3 of each basic block of the last three stages, those of stride 2 included."""

BASIC_BLOCK_RULE: AugmentOptions = {
    "heads": 8,
    "kappa": "0.25",
    "upsilon": "0.25",
    "downsample": {"layer2.*": 2},
}
"""Bello et al. 2019, section 4.2: kappa = upsilon = 0.25 for ResNet-34."""


def resnet34(*, num_classes: int = 1000) -> nn.Module:
    """ResNet-34 (He et al. 2016): torchvision's, with a projection in its first stage too.

    The 7.4 GFLOP of Bello et al. 2019, table 3, need that 1x1 shortcut (7.35; without it 7.33).
    """
    return _with_first_projection(torchvision.models.resnet34(num_classes=num_classes))


def resnet50(*, num_classes: int = 1000) -> nn.Module:
    """ResNet-50 (He et al. 2016): torchvision's, whose 3x3 convolutions carry the stride."""
    return _module(torchvision.models.resnet50(num_classes=num_classes))


def resnet101(*, num_classes: int = 1000) -> nn.Module:
    """ResNet-101 (He et al. 2016): torchvision's."""
    return _module(torchvision.models.resnet101(num_classes=num_classes))


def resnet152(*, num_classes: int = 1000) -> nn.Module:
    """ResNet-152 (He et al. 2016): torchvision's."""
    return _module(torchvision.models.resnet152(num_classes=num_classes))


def se_resnet34(*, num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-34 (Hu et al. 2018): timm's, reduction 16, with ``resnet34``'s first projection."""
    return _with_first_projection(_of_timm("seresnet34", num_classes))


def se_resnet50(*, num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-50 (Hu et al. 2018): timm's, squeeze-excite of reduction 16 in every block."""
    return _of_timm("seresnet50", num_classes)


def se_resnet101(*, num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-101 (Hu et al. 2018): timm's, squeeze-excite of reduction 16 in every block."""
    return _of_timm("seresnet101", num_classes)


def se_resnet152(*, num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-152 (Hu et al. 2018): timm's, squeeze-excite of reduction 16 in every block."""
    return _of_timm("seresnet152", num_classes)


def aa_resnet34(
    *, resolution: Resolution = 224, num_classes: int = 1000, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-ResNet-34 (Bello et al. 2019, table 3): ``BASIC_BLOCK_LAYERS`` by ``BASIC_BLOCK_RULE``.

    The paper does not say which of a block's two convolutions; the first fits its sizes.
    """
    return augment(
        resnet34(num_classes=num_classes),
        BASIC_BLOCK_LAYERS,
        input_size=image_size(resolution),
        **overridden(BASIC_BLOCK_RULE, changes),
    )


def aa_resnet50(
    *, resolution: Resolution = 224, num_classes: int = 1000, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-ResNet-50 (Bello et al. 2019, table 3): ``BOTTLENECK_LAYERS`` by ``BOTTLENECK_RULE``.

    Its table 6 is the same with any kappa = upsilon, up to 1: fully attentional.
    """
    return _augmented_bottlenecks(resnet50(num_classes=num_classes), resolution, changes)


def aa_resnet101(
    *, resolution: Resolution = 224, num_classes: int = 1000, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-ResNet-101 (Bello et al. 2019, table 3): the rule of ``aa_resnet50``."""
    return _augmented_bottlenecks(resnet101(num_classes=num_classes), resolution, changes)


def aa_resnet152(
    *, resolution: Resolution = 224, num_classes: int = 1000, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-ResNet-152 (Bello et al. 2019, table 3): the rule of ``aa_resnet50``."""
    return _augmented_bottlenecks(resnet152(num_classes=num_classes), resolution, changes)


def debug_resnet(*, num_classes: int = 10) -> nn.Module:
    """A ResNet of one basic block a stage and 8 to 64 channels, for tests."""
    from timm.models.resnet import BasicBlock, ResNet

    block: Any = BasicBlock  # timm annotates the class as an instance
    return _module(ResNet(block, (1, 1, 1, 1), num_classes, channels=(8, 16, 32, 64)))


def aa_debug_resnet(
    *, resolution: Resolution = 32, num_classes: int = 10, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """``debug_resnet`` augmented as ``aa_resnet34`` is, with 2 heads, for tests."""
    rule = overridden(BASIC_BLOCK_RULE, {"heads": 2, "min_key_depth_per_head": 2})
    return augment(
        debug_resnet(num_classes=num_classes),
        BASIC_BLOCK_LAYERS,
        input_size=image_size(resolution),
        **overridden(rule, changes),
    )


def _augmented_bottlenecks(
    model: nn.Module, resolution: Resolution, changes: AugmentOptions
) -> nn.Module:
    return augment(
        model,
        BOTTLENECK_LAYERS,
        input_size=image_size(resolution),
        **overridden(BOTTLENECK_RULE, changes),
    )


def _with_first_projection(model: Any) -> nn.Module:
    """A ResNet of basic blocks with a 1x1 projection shortcut where it has an identity."""
    projection = nn.Conv2d(64, 64, 1, bias=False)
    nn.init.kaiming_normal_(projection.weight, mode="fan_out", nonlinearity="relu")
    model.layer1[0].downsample = nn.Sequential(projection, nn.BatchNorm2d(64))
    return _module(model)


def _of_timm(name: str, num_classes: int) -> nn.Module:
    """Timm's network of a name; it takes a third of a second to import, which most do not need."""
    import timm

    return _module(timm.create_model(name, num_classes=num_classes))


def _module(model: Any) -> nn.Module:
    """What an untyped library built, as the module that it is."""
    assert isinstance(model, nn.Module)
    return model
