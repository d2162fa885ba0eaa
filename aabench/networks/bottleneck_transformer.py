"""BoT-50 (Srinivas et al. 2021): ResNet-50 with global attention for the last stage's 3x3."""

from __future__ import annotations

from torch import nn

from aabench.layers.bottleneck_attention import BottleneckAttention2d
from aabench.networks.input_resolution import Resolution, image_size
from aabench.networks.meta_trace import meta_copy, reached_resolutions
from aabench.networks.resnet import resnet50


def bot_resnet50(
    *,
    resolution: Resolution = 1024,
    num_classes: int = 1000,
    heads: int = 4,
    attention: str = "auto",
    position: str = "relative",
) -> nn.Module:
    """BoT-50 (Srinivas et al. 2021): attention for the 3x3 of the three blocks of the last stage.

    The first block pools 2x2 after its attention, which is at the resolution of its input.

    The paper's 20.8M are with the tables of 224 px images, its 102.98 GMAC of 1024 px ones, with
    the position logits by skewing, as the form ``materialized`` makes them.

    Args:
        resolution: of the largest images; the tables are built for it.
        num_classes: outputs.
        heads: Nh; dk = dv = 512.
        attention: the form, as in ``AugmentedConv2d``.
        position: as in ``AugmentedConv2d``.
    """
    model = resnet50(num_classes=num_classes)
    names = [f"layer4.{block}.conv2" for block in range(3)]
    reached = reached_resolutions(meta_copy(model), names, image_size(resolution))
    for name in names:
        old = model.get_submodule(name)
        assert isinstance(old, nn.Conv2d)
        new: nn.Module = BottleneckAttention2d(
            old.in_channels,
            old.out_channels,
            heads=heads,
            attention=attention,
            position=position,
            resolution=reached[name],
        )
        if old.stride != (1, 1):  # pooled by a module of its own: the weights keep their names
            new = nn.Sequential(new, nn.AvgPool2d(2, ceil_mode=True))
        model.get_submodule(name.removesuffix(".conv2")).add_module("conv2", new)
    return model
