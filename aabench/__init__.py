"""aabench: what attention-augmented convolutions cost, and which of them fit.

The public names are loaded when they are first used, so that ``import aabench`` is quick and the
command line can answer ``--help`` without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aabench.cases.case import Case as Case
    from aabench.fitting.door import fit as fit
    from aabench.layers.augmented_convolution import AugmentedConv2d as AugmentedConv2d
    from aabench.networks.augmenting import augment as augment
    from aabench.runs.door import sweep as sweep
    from aabench.runs.predicting import predict as predict
    from aabench.runs.reading import load_run as load_run

__version__ = "0.1.0"

_PUBLIC = {
    "AugmentedConv2d": "aabench.layers.augmented_convolution",
    "Case": "aabench.cases.case",
    "predict": "aabench.runs.predicting",
    "augment": "aabench.networks.augmenting",
    "fit": "aabench.fitting.door",
    "load_run": "aabench.runs.reading",
    "sweep": "aabench.runs.door",
}

__all__ = [
    "AugmentedConv2d",
    "Case",
    "__version__",
    "augment",
    "fit",
    "load_run",
    "predict",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'aabench' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
