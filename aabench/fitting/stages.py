"""The stages of a network: its augmented layers in groups, as their names group them."""

from __future__ import annotations

from collections.abc import Sequence


def stage_of(name: str, names: Sequence[str]) -> str:
    """The module that stands for a layer's stage.

    It is the outermost module around a layer that is not around all of the layers: of
    ``layer3.0.conv2`` and ``layer4.0.conv2`` it is ``layer3`` and ``layer4``, of
    ``groups.0.1.conv1`` and ``groups.1.0.conv1`` it is ``groups.0`` and ``groups.1``. Of a single layer
    it is the outermost module.

    Args:
        name: of the layer.
        names: of all layers, this one included.
    """
    paths = [each.split(".") for each in names]
    shared = 0
    while len(names) > 1 and len({tuple(path[: shared + 1]) for path in paths}) == 1:
        shared += 1
    return ".".join(name.split(".")[: shared + 1])


def by_stage(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The layers of each stage, both in the network's order."""
    stages: dict[str, tuple[str, ...]] = {}
    for name in names:
        stage = stage_of(name, names)
        stages[stage] = (*stages.get(stage, ()), name)
    return stages
