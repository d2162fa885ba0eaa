"""The layers that are measured: the augmented convolution, its attention forms and positions."""

from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.layers.bottleneck_attention import BottleneckAttention2d
from aabench.layers.local_attention import LocalAttention2d

__all__ = ["AugmentedConv2d", "BottleneckAttention2d", "LocalAttention2d"]
