"""Stand-alone self-attention ResNets (Ramachandran et al. 2019, table 1).

The ResNets of bottlenecks whose 3x3 convolutions are local attention; in the "full" ones the stem
attends too.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from aabench.errors import UsageError
from aabench.layers.local_attention import LocalAttention2d
from aabench.networks.attention_stem import BlockAttention2d

ALL_GROUPS = (1, 2, 3, 4)


def resnet26(*, num_classes: int = 1000) -> nn.Module:
    """ResNet-26 of bottlenecks, [1, 2, 4, 1] a group, the stride on the 3x3 (SASA, table 1)."""
    return _resnet((1, 2, 4, 1), num_classes)


def resnet38(*, num_classes: int = 1000) -> nn.Module:
    """ResNet-38 of bottlenecks, [2, 3, 5, 2] a group, the stride on the 3x3 (SASA, table 1)."""
    return _resnet((2, 3, 5, 2), num_classes)


def sasa_resnet26(
    *,
    num_classes: int = 1000,
    kernel_size: int = 7,
    heads: int = 8,
    attention_groups: Sequence[int] = ALL_GROUPS,
) -> nn.Module:
    """``resnet26`` with local attention for its 3x3 convolutions (SASA, table 1, conv-stem).

    Args:
        num_classes: outputs.
        kernel_size: side of the window.
        heads: of the attention.
        attention_groups: which of the groups 1 to 4 attend; the others stay convolutional.
    """
    return _with_attention(resnet26(num_classes=num_classes), kernel_size, heads, attention_groups)


def sasa_resnet38(
    *,
    num_classes: int = 1000,
    kernel_size: int = 7,
    heads: int = 8,
    attention_groups: Sequence[int] = ALL_GROUPS,
) -> nn.Module:
    """``resnet38`` with local attention; arguments as for ``sasa_resnet26``."""
    return _with_attention(resnet38(num_classes=num_classes), kernel_size, heads, attention_groups)


def sasa_resnet50(
    *,
    num_classes: int = 1000,
    kernel_size: int = 7,
    heads: int = 8,
    attention_groups: Sequence[int] = ALL_GROUPS,
) -> nn.Module:
    """ResNet-50 with local attention; arguments as for ``sasa_resnet26``."""
    model = _resnet((3, 4, 6, 3), num_classes)
    return _with_attention(model, kernel_size, heads, attention_groups)


def sasa_resnet26_full(
    *,
    num_classes: int = 1000,
    kernel_size: int = 7,
    heads: int = 8,
    attention_groups: Sequence[int] = ALL_GROUPS,
    mixtures: int = 4,
) -> nn.Module:
    """``sasa_resnet26`` with an attentional stem, whose mixtures are a choice of ours (4)."""
    model = sasa_resnet26(
        num_classes=num_classes,
        kernel_size=kernel_size,
        heads=heads,
        attention_groups=attention_groups,
    )
    return _with_attention_stem(model, heads, mixtures)


def sasa_resnet38_full(
    *,
    num_classes: int = 1000,
    kernel_size: int = 7,
    heads: int = 8,
    attention_groups: Sequence[int] = ALL_GROUPS,
    mixtures: int = 4,
) -> nn.Module:
    """``sasa_resnet38`` with an attentional stem, whose mixtures are a choice of ours (4)."""
    model = sasa_resnet38(
        num_classes=num_classes,
        kernel_size=kernel_size,
        heads=heads,
        attention_groups=attention_groups,
    )
    return _with_attention_stem(model, heads, mixtures)


def sasa_resnet50_full(
    *,
    num_classes: int = 1000,
    kernel_size: int = 7,
    heads: int = 8,
    attention_groups: Sequence[int] = ALL_GROUPS,
    mixtures: int = 4,
) -> nn.Module:
    """``sasa_resnet50`` with an attentional stem, whose mixtures are a choice of ours (4)."""
    model = sasa_resnet50(
        num_classes=num_classes,
        kernel_size=kernel_size,
        heads=heads,
        attention_groups=attention_groups,
    )
    return _with_attention_stem(model, heads, mixtures)


def _resnet(blocks: Sequence[int], num_classes: int) -> nn.Module:
    model: nn.Module = ResNet(Bottleneck, list(blocks), num_classes=num_classes)
    return model


def _with_attention(
    model: nn.Module, kernel_size: int, heads: int, groups: Sequence[int]
) -> nn.Module:
    """Local attention in the place of each bottleneck's 3x3, then 2x2 pooling for its stride."""
    if not set(groups) <= set(ALL_GROUPS):
        raise UsageError("no such group", got=tuple(groups), allowed="1, 2, 3, 4")
    for group in groups:
        for block in model.get_submodule(f"layer{group}").children():
            old = block.get_submodule("conv2")
            assert isinstance(old, nn.Conv2d)
            new: nn.Module = LocalAttention2d(
                old.in_channels, old.out_channels, kernel_size, heads=heads
            )
            if old.stride != (1, 1):  # pooled by a module of its own: the weights keep their names
                new = nn.Sequential(new, nn.AvgPool2d(2, ceil_mode=True))
            block.add_module("conv2", new)
    return model


def _with_attention_stem(model: nn.Module, heads: int, mixtures: int) -> nn.Module:
    """Attention inside 4x4 blocks of the image, batch norm, ReLU, 4x4 max pooling."""
    old = model.get_submodule("conv1")
    assert isinstance(old, nn.Conv2d)
    stem = BlockAttention2d(old.in_channels, old.out_channels, heads=heads, mixtures=mixtures)
    model.add_module("conv1", stem)
    model.add_module("maxpool", nn.MaxPool2d(4))
    return model
