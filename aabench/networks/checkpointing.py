"""Checkpointing: modules that keep only their input for the backward pass and compute again the rest."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from aabench.errors import UsageError


def checkpoint_modules(model: nn.Module, patterns: Sequence[str]) -> None:
    """Let modules run under torch's non-reentrant checkpointing, wherever gradients are needed.

    The model is changed in place; parameters, buffers and their names stay as they are. A batch
    normalisation inside sees each batch twice, and so moves its running averages twice.

    Args:
        model: any module.
        patterns: fnmatch patterns on the names of ``model.named_modules()``; of modules inside each
            other the outermost is taken.

    Raises:
        UsageError: a pattern that matches no module.
    """
    names = [name for name, _ in model.named_modules() if name]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                "no module to checkpoint matches the pattern", got=pattern, allowed=names[:20]
            )
    chosen: list[str] = []
    for name in names:
        is_inside = any(name.startswith(f"{outer}.") for outer in chosen)
        if not is_inside and any(fnmatchcase(name, pattern) for pattern in patterns):
            chosen.append(name)
            module = model.get_submodule(name)
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)
