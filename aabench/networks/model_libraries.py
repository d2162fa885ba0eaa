"""Untrained models of timm and torchvision by their own names; nothing is ever downloaded."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import timm
import torchvision

from aabench.errors import UsageError

Builder = Callable[..., Any]


def timm_builder(name: str) -> Builder:
    """What builds timm's model of this name.

    Raises:
        UsageError: timm has no such model; the nearest names are offered.
    """
    # Only registered names: timm would look for any other in the network or in a folder.
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    return partial(timm.create_model, name, pretrained=False)


def torchvision_builder(name: str) -> Builder:
    """What builds torchvision's model of this name, its backbone untrained too.

    Raises:
        UsageError: torchvision has no such model; the nearest names are offered.
    """
    known: list[str] = torchvision.models.list_models()
    if name not in known:
        raise _unknown("torchvision", name, known)
    builder: Builder = torchvision.models.get_model_builder(name)
    untrained = {"weights": None, "weights_backbone": None}
    taken = inspect.signature(builder).parameters
    return partial(builder, **{key: value for key, value in untrained.items() if key in taken})


LIBRARIES: dict[str, Callable[[str], Builder]] = {
    "timm": timm_builder,
    "torchvision": torchvision_builder,
}


def _unknown(library: str, name: str, known: list[str]) -> UsageError:
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    return UsageError(
        f"{library} has no model of this name",
        got=name,
        allowed=f"its {len(known)} names",
        instead=f"did you mean {' or '.join(near)}?" if near else f"see {library}'s list_models()",
    )
