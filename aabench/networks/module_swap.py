"""``swap_modules()``: other modules in the place of some of a model's own."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def swap_modules(model: nn.Module, replacements: Mapping[str, nn.Module]) -> None:
    """Put replacements in by module name, at every place where the replaced module is."""
    by_identity = {id(model.get_submodule(name)): new for name, new in replacements.items()}
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if id(child) in by_identity:
                setattr(parent, name, by_identity[id(child)])
