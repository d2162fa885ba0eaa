"""The layers that are measured: the augmented convolution, its attention forms and positions."""

from aabench.layers.augmented_convolution import AugmentedConv2d

__all__ = ["AugmentedConv2d"]
