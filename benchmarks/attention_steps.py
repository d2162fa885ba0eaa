"""What the attention forms are compared in: the attention alone, a whole layer, a training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aabench.cases.catalogue import ATTENTIONS
from aabench.layers import AugmentedConv2d
from aabench.layers.attention_inputs import AttentionInputs
from benchmarks.interleaved import Step

FORWARD, BOTH = "forward", "forward+backward"

PLAIN = "plain"
"""The convolution, or the network, without attention."""


@dataclass(frozen=True, slots=True)
class Size:
    """What the attention is of.

    Attributes:
        batch: B.
        heads: Nh.
        side: H = W.
        key_depth: dk/Nh.
        value_depth: dv/Nh.
    """

    batch: int
    heads: int
    side: int
    key_depth: int
    value_depth: int

    def __str__(self) -> str:
        return (
            f"{self.side}x{self.side} B{self.batch} Nh{self.heads} "
            f"dk/Nh {self.key_depth} dv/Nh {self.value_depth}"
        )


def attention_steps(
    forms: Mapping[str, str], size: Size, which: str, dtype: torch.dtype, seed: int
) -> dict[str, Step]:
    """The attention alone, by each form of the catalogue: forward in inference mode, or both passes."""
    inputs, start = _random_attention(size, dtype, seed)
    leaves = [*inputs[:3], *(inputs.tables or ())]

    def step_of(attend: Callable[..., Tensor]) -> Step:
        def forward() -> None:
            with torch.inference_mode():
                attend(*inputs)

        return forward if which == FORWARD else lambda: _both_passes(attend(*inputs), leaves, start)

    return {label: step_of(ATTENTIONS.load(name)) for label, name in forms.items()}


def layer_steps(
    forms: Mapping[str, str], size: Size, channels: int, dtype: torch.dtype, seed: int
) -> dict[str, Step]:
    """Both passes of a whole ``AugmentedConv2d`` by each form, and of the 3x3 that it replaces."""
    torch.manual_seed(seed)
    layers: dict[str, nn.Module] = {
        label: AugmentedConv2d(
            channels,
            channels,
            dk=size.heads * size.key_depth,
            dv=size.heads * size.value_depth,
            heads=size.heads,
            resolution=size.side,
            attention=name,
        )
        for label, name in forms.items()
    }
    layers[PLAIN] = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    shape = (size.batch, channels, size.side, size.side)
    x = torch.randn(shape).to(dtype).requires_grad_()
    start = torch.randn(shape).to(dtype)

    def step_of(layer: nn.Module) -> Step:
        leaves = [x, *layer.to(dtype).parameters()]
        return lambda: _both_passes(layer(x), leaves, start)

    return {label: step_of(layer) for label, layer in layers.items()}


def training_steps(
    networks: Mapping[str, Callable[[], nn.Module]], batch: int, side: int, seed: int
) -> dict[str, Step]:
    """A training step of each network: cross-entropy, backward, SGD with momentum, no gradients left."""
    torch.manual_seed(seed)
    images = torch.randn(batch, 3, side, side)
    labels = torch.arange(batch) % 10

    def step_of(network: nn.Module) -> Step:
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)

        def step() -> None:
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    return {label: step_of(build().train()) for label, build in networks.items()}


def _both_passes(output: Tensor, leaves: Sequence[Tensor], start: Tensor) -> None:
    torch.autograd.grad(output, leaves, start)


def _random_attention(size: Size, dtype: torch.dtype, seed: int) -> tuple[AttentionInputs, Tensor]:
    """Inputs as the layer makes them, all needing gradients, and a gradient of the output.

    q, k and v are transposed views of one projection with its channels first.
    """
    generator = torch.Generator().manual_seed(seed)
    heads, keys, values, pixels = size.heads, size.key_depth, size.value_depth, size.side**2

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    kqv = normal(size.batch, heads * (2 * keys + values), pixels).to(dtype)
    k, q, v = (
        part.unflatten(1, (heads, -1)).mT.detach()
        for part in kqv.split([heads * keys, heads * keys, heads * values], dim=1)
    )
    # A projection of normalised activations, already scaled: of size 1 over the keys' norm.
    q = q.mul_(keys**-0.5)
    tables = (
        normal(2 * size.side - 1, keys).mul_(keys**-0.5).to(dtype),
        normal(2 * size.side - 1, keys).mul_(keys**-0.5).to(dtype),
    )
    for tensor in (q, k, v, *tables):
        tensor.requires_grad_()
    start = normal(size.batch, heads, values, pixels).to(dtype).mT
    return AttentionInputs(q, k, v, tables, (size.side, size.side)), start
