"""Wide-ResNet-28-10 for CIFAR and what Bello et al. 2019, table 1, compare on it.

The published 36.3M need shortcuts without weights (average pooling, then zeros for the channels
that are missing); the projections of Zagoruyko and Komodakis 2016 would make it 36.5M.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import torch.nn.functional as F
from torch import Tensor, nn

from aabench.networks.augment_options import AugmentOptions, overridden
from aabench.networks.augmenting import augment
from aabench.networks.input_resolution import Resolution, image_size

AUGMENTED_LAYERS = ("groups.*.conv1",)
"""The first convolution of every residual block."""

RULE: AugmentOptions = {"heads": 8, "kappa": "0.2", "upsilon": "0.1"}
"""Bello et al. 2019, section 4.1: kappa = 2 upsilon = 0.2, at full resolution."""

Gate = Callable[[int], nn.Module]
"""Makes the module that rescales a residual branch of so many channels."""


class ParameterFreeGate(nn.Module):
    """Gather-excite over the whole map without parameters (Hu et al. 2018): x sigmoid(mean(x))."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        gated: Tensor = x * x.mean(dim=(2, 3), keepdim=True).sigmoid()
        return gated


class SqueezeExcite(nn.Module):
    """Squeeze-excite of reduction 16, without biases (Hu et al. 2018).

    The printed 36.5M fit this; biases would make SE-WRN-28-10 36.552M, which rounds to 36.6M.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.excite = nn.Conv2d(channels // 16, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        means = x.mean(dim=(2, 3), keepdim=True)
        gated: Tensor = x * self.excite(self.squeeze(means).relu()).sigmoid()
        return gated


class PreactivationBlock(nn.Module):
    """A residual block of two 3x3 convolutions, each after batch norm and ReLU.

    The shortcut has no weights: average pooling of the stride, zeros for the channels added.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, at least as many.
        stride: of the first convolution.
        gate: makes what rescales the residual branch, or None.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, gate: Gate | None) -> None:
        super().__init__()
        self.stride = stride
        self.extra_channels = out_channels - in_channels
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.gate = nn.Identity() if gate is None else gate(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Fin, H, W) to (B, Fout, ceil(H / stride), ceil(W / stride))."""
        residual = self.conv1(self.norm1(x).relu())
        residual = self.conv2(self.norm2(residual).relu())
        total: Tensor = self._shortcut(x) + self.gate(residual)
        return total

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        return F.pad(x, (0, 0, 0, 0, 0, self.extra_channels)) if self.extra_channels else x


class WideResNet(nn.Module):
    """A Wide-ResNet of three groups (Zagoruyko and Komodakis 2016) on images of CIFAR's size.

    Args:
        blocks: residual blocks of a group; depth = 6 blocks + 4.
        width: channels of the first group as a multiple of 16; each next group has twice as many.
        num_classes: outputs.
        gate: makes what rescales each residual branch, or None.
    """

    def __init__(self, blocks: int, width: int, num_classes: int, gate: Gate | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        channels = [16, 16 * width, 32 * width, 64 * width]
        self.groups = nn.Sequential()
        for group in range(3):
            before, after = channels[group : group + 2]
            stride = 1 if group == 0 else 2
            self.groups.append(
                nn.Sequential(
                    PreactivationBlock(before, after, stride, gate),
                    *(PreactivationBlock(after, after, 1, gate) for _ in range(blocks - 1)),
                )
            )
        self.norm = nn.BatchNorm2d(channels[-1])
        self.classifier = nn.Linear(channels[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to logits (B, num_classes)."""
        features: Tensor = self.norm(self.groups(self.stem(x))).relu()
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


def wrn28_10(*, num_classes: int = 100) -> nn.Module:
    """Wide-ResNet-28-10 with weightless shortcuts (Bello et al. 2019, table 1)."""
    return WideResNet(4, 10, num_classes)


def se_wrn28_10(*, num_classes: int = 100) -> nn.Module:
    """``wrn28_10`` with squeeze-excite of reduction 16 in every block (Hu et al. 2018)."""
    return WideResNet(4, 10, num_classes, gate=SqueezeExcite)


def ge_wrn28_10(*, num_classes: int = 100) -> nn.Module:
    """``wrn28_10`` with gather-excite without parameters in every block (Hu et al. 2018)."""
    return WideResNet(4, 10, num_classes, gate=lambda channels: ParameterFreeGate())


def aa_wrn28_10(
    *, resolution: Resolution = 32, num_classes: int = 100, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-WRN-28-10 (Bello et al. 2019, table 1): ``AUGMENTED_LAYERS`` by ``RULE``.

    The rule as the paper states it gives 36.05M parameters where the paper prints 36.2M.
    """
    return augment(
        wrn28_10(num_classes=num_classes),
        AUGMENTED_LAYERS,
        input_size=image_size(resolution),
        **overridden(RULE, changes),
    )


def aa_nre_wrn28_10(
    *, resolution: Resolution = 32, num_classes: int = 100, **changes: Unpack[AugmentOptions]
) -> nn.Module:
    """AA-WRN-28-10 with no relative positions, which its paper ablates; no sizes are printed."""
    without_positions: AugmentOptions = {"position": "none", **changes}
    return aa_wrn28_10(resolution=resolution, num_classes=num_classes, **without_positions)
