"""The model of a case: its layer or its network as a torch module."""

from __future__ import annotations

import torch
from torch import nn

from aabench.cases.case import AUGMENTED, BOTTLENECK, LOCAL, Case, Layer
from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.layers.bottleneck_attention import BottleneckAttention2d
from aabench.layers.local_attention import LocalAttention2d
from aabench.networks.case_network import build_case_network

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The data type that a precision gives to weights and inputs; float32 otherwise."""

AUTOCAST = {"amp-bf16": torch.bfloat16, "amp-fp16": torch.float16}


def build_model(case: Case, device: torch.device) -> nn.Module:
    """The layer or network of a case, newly initialised, in its precision and memory format.

    Raises:
        UsageError: there is no such layer or network.
    """
    with torch.device(device):
        if isinstance(case.subject, Layer):
            model: nn.Module = _layer(case.subject, case.attention)
        else:
            model = build_case_network(case.subject, case.attention)
    model = model.to(device)  # a user's function need not mind torch's default device
    return model.to(dtype_of(case)).to(memory_format=memory_format_of(case))


def augmented_cases(model: nn.Module, case: Case) -> dict[str, Case]:
    """The cases of the augmented convolutions of a network, by module name.

    Each is the layer as the network runs it: its channels, its resolution, and the network's batch,
    mode and precision.
    """
    from aabench.networks.augmenting import augmented_layers

    return {
        found.name: Case(
            found.layer,
            case.batch,
            case.mode,
            case.precision,
            case.attention,
            case.compile,
            case.memory_format,
            case.optimizer,
        )
        for found in augmented_layers(model)
    }


def input_shape(case: Case) -> tuple[int, int, int, int]:
    """(B, C, H, W) of the input."""
    subject = case.subject
    channels = subject.in_channels if isinstance(subject, Layer) else subject.channels
    return case.batch, channels, subject.height, subject.width


def dtype_of(case: Case) -> torch.dtype:
    """The data type of weights and inputs."""
    return DTYPES.get(case.precision, torch.float32)


def memory_format_of(case: Case) -> torch.memory_format:
    """The layout of tensors and weights."""
    channels_last = case.memory_format == "channels-last"
    return torch.channels_last if channels_last else torch.contiguous_format


def _layer(layer: Layer, attention: str) -> nn.Module:
    return _BUILDERS[layer.kind](layer, attention)


def _augmented(layer: Layer, attention: str) -> nn.Module:
    return AugmentedConv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        dk=layer.dk,
        dv=layer.dv,
        heads=layer.heads,
        stride=layer.stride,
        downsample=layer.downsample,
        position=layer.position,
        attention="auto" if layer.is_plain else attention,
        resolution=(layer.height, layer.width),
    )


def _local(layer: Layer, attention: str) -> nn.Module:
    return LocalAttention2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        heads=layer.heads,
        stride=layer.stride,
        resolution=(layer.height, layer.width),
    )


def _bottleneck(layer: Layer, attention: str) -> nn.Module:
    return BottleneckAttention2d(
        layer.in_channels,
        layer.out_channels,
        heads=layer.heads,
        stride=layer.stride,
        position=layer.position,
        attention=attention,
        resolution=(layer.height, layer.width),
    )


_BUILDERS = {AUGMENTED: _augmented, LOCAL: _local, BOTTLENECK: _bottleneck}
