"""The plan: which convolutions of a network become augmented ones, layer by layer, as a JSON file.

``aabench fit --write`` makes one and ``aabench.augment(model, plan=...)`` follows it, so that what was
judged is what is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from aabench.errors import UsageError

SCHEMA = 1

ANOTHER_NETWORK = "give augment() the plain network that the plan was made for"


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One convolution and the augmented one that takes its place.

    Attributes:
        name: in the network's ``named_modules()``.
        in_channels: of both.
        out_channels: of both.
        kernel_size: of both.
        stride: of both.
        dk: depth of the keys of all heads together.
        dv: depth of the values of all heads together; the convolution keeps the other channels.
        heads: Nh.
        position: name of the position encoding.
        downsample: how much coarser than its output the layer attends.
        height: of the largest input.
        width: of the largest input.
    """

    name: str
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    dk: int
    dv: int
    heads: int
    position: str
    downsample: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How one network is augmented, and the step it was judged in.

    Attributes:
        network: the plain network's name, as ``aabench.networks.building.build_network`` takes it;
            of a model that was given, its class.
        attention: the attention form of all layers.
        input_size: (C, H, W) of one image.
        layers: in the network's order; the others stay convolutions.
        checkpointed: fnmatch patterns of module names to be run under checkpointing in training.
        step: batch, mode, precision and so on, for people and scripts; ``augment`` needs none of it.
    """

    network: str
    attention: str
    input_size: tuple[int, int, int]
    layers: tuple[PlannedLayer, ...]
    checkpointed: tuple[str, ...] = ()
    step: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            UsageError: the file cannot be written.
        """
        try:
            path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from error

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready values."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Read what ``write`` wrote.

        Raises:
            UsageError: there is no such file, or it is no plan.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: not UTF-8 text (byte {error.start})") from error
        try:
            return cls.of_json(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            raise UsageError(f"{path}: not JSON: {error}") from error
        except (TypeError, KeyError, ValueError) as error:
            raise UsageError(
                f"{path}: not a plan: {error}", instead="aabench fit --write makes one"
            ) from error

    @classmethod
    def of_json(cls, values: Any) -> Plan:
        """The plan that JSON values stand for.

        Raises:
            UsageError: of another version.
            KeyError, TypeError, ValueError: they stand for none.
        """
        if values["schema"] != SCHEMA:
            raise UsageError("a plan of another version", got=values["schema"], allowed=str(SCHEMA))
        channels, height, width = map(int, values["input_size"])
        return cls(
            network=str(values["network"]),
            attention=str(values["attention"]),
            input_size=(channels, height, width),
            layers=tuple(_layer(each) for each in values["layers"]),
            checkpointed=tuple(map(str, values["checkpointed"])),
            step=dict(values["step"]),
        )


def _layer(values: Any) -> PlannedLayer:
    """One layer; every field must be there, of its kind.

    Raises:
        TypeError: it is not.
    """
    layer = PlannedLayer(**values)
    for each in fields(PlannedLayer):
        value = getattr(layer, each.name)
        if type(value).__name__ != each.type:
            raise TypeError(f"{each.name} must be {each.type}, got {value!r}")
    return layer
