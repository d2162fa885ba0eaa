"""The options of ``augment()``, as the networks of the papers take them to change their own rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from aabench.cases.depths import Ratio
from aabench.errors import UnknownName


class AugmentOptions(TypedDict, total=False):
    """Arguments of ``aabench.networks.augmenting.augment``; see there for their meaning."""

    kappa: Ratio | None
    upsilon: Ratio | None
    heads: int
    dk: int | None
    dv: int | None
    attention: str
    downsample: int | Mapping[str, int]
    position: str
    min_key_depth_per_head: int
    most_tokens: int


def overridden(rule: AugmentOptions, changes: AugmentOptions) -> AugmentOptions:
    """A published rule with some of it changed; a depth replaces the rule's ratio and vice versa.

    Raises:
        UsageError: a change that is no option of ``augment``.
    """
    unknown = [name for name in changes if name not in AugmentOptions.__annotations__]
    if unknown:
        raise UnknownName("option of the augmentation", unknown[0], AugmentOptions.__annotations__)
    options: AugmentOptions = {**rule, **changes}
    if changes.get("dk") is not None and "kappa" not in changes:
        options["kappa"] = None
    if changes.get("dv") is not None and "upsilon" not in changes:
        options["upsilon"] = None
    return options
