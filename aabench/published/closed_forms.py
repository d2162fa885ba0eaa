"""The sum of closed forms: a network's multiply-accumulates from the shapes that reach its layers.

Nothing is counted while it runs: a forward on the meta device tells the shapes, and each layer's
own formula does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from aabench.cases.case import Case, Layer
from aabench.cost.counts import MIX
from aabench.cost.explain import explain
from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.layers.local_attention import LocalAttention2d
from aabench.networks.attention_stem import BlockAttention2d
from aabench.published.counting import FORM


def closed_form_macs(model: nn.Module, image: Tensor) -> int:
    """Multiply-accumulates of one forward of a model, from the closed forms of its layers.

    Counted are convolutions, linear layers, augmented convolutions (whose attention is ``FORM``),
    local attention and the attentional stem; a layer that runs several times counts each time.

    Args:
        model: in evaluation mode, on the meta device.
        image: a batch of images there.
    """
    total = 0

    def counter_of(formula: Formula) -> Any:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal total
            total += formula(module, inputs[0], output)

        return note

    within_augmented = {
        id(part)
        for module in model.modules()
        if isinstance(module, AugmentedConv2d)
        for part in module.modules()
        if part is not module
    }
    hooks = [
        module.register_forward_hook(counter_of(formula))
        for module in model.modules()
        for kind, formula in FORMULAS.items()
        if isinstance(module, kind) and id(module) not in within_augmented
    ]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _convolution(module: nn.Conv2d, _image: Tensor, output: Tensor) -> int:
    """B H W weights: every weight once at every output pixel."""
    return output.numel() // module.out_channels * module.weight.numel()


def _linear(module: nn.Linear, _features: Tensor, output: Tensor) -> int:
    """B in out."""
    return output.numel() * module.in_features


def _augmented(module: AugmentedConv2d, image: Tensor, _output: Tensor) -> int:
    """Bello et al. 2019 (section 3.3), by ``aabench.cost``; BoT's has no mixing of the heads."""
    height, width = image.shape[2:]
    layer: Layer = replace(module.specification, height=height, width=width)
    case = Case(layer, batch=image.shape[0], attention=FORM)
    parts = explain(case, device_type="meta").parts
    return sum(part.macs_forward for part in parts if part.name != MIX or module.mix is not None)


def _local(module: LocalAttention2d, image: Tensor, _output: Tensor) -> int:
    """3 B N k^2 Fout: keys, offsets and values of every window (Ramachandran et al. 2019, 3.1)."""
    pixels = image.numel() // image.shape[1]
    return 3 * pixels * module.kernel_size**2 * module.out_channels


def _blocks(module: BlockAttention2d, _image: Tensor, output: Tensor) -> int:
    """Likewise within blocks, and the weights of the mixtures (Ramachandran et al. 2019, 3.2)."""
    return 3 * output.numel() * module.block**2 + module.block**2 * module.nu.numel()


Formula = Callable[[Any, Tensor, Tensor], int]
"""The multiply-accumulates of a module for its input and output."""

FORMULAS: dict[type[nn.Module], Formula] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    AugmentedConv2d: _augmented,
    LocalAttention2d: _local,
    BlockAttention2d: _blocks,
}
"""By kind of layer; the convolutions inside an augmented one are part of its own formula."""
