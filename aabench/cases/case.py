"""The case: one fully specified thing to cost, frozen, with a content hash that is its resume key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

MODES = ("infer", "forward-backward", "train")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "amp-bf16", "amp-fp16")
MEMORY_FORMATS = ("contiguous", "channels-last")
OPTIMIZERS = ("sgd-momentum", "sgd", "adam", "adamw")

NO_ATTENTION = "none"
"""What a plain convolution (dv = 0) shows where a form's name would stand."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One augmented convolution and the resolution of its input; dv = 0 is the plain convolution."""

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    downsample: int
    heads: int
    dk: int
    dv: int
    position: str
    height: int
    width: int

    @property
    def attention_resolution(self) -> tuple[int, int]:
        """(H', W') that the attention sees: ceil(H / (stride * downsample)), likewise for W."""
        step = self.stride * self.downsample
        return -(-self.height // step), -(-self.width // step)

    @property
    def tokens(self) -> int:
        """H' * W', the N of the N x N maps."""
        height, width = self.attention_resolution
        return height * width

    @property
    def is_plain(self) -> bool:
        """Whether there is no attention at all."""
        return self.dv == 0

    def plain(self) -> Layer:
        """The convolution that this layer replaces, written in its one canonical way."""
        return replace(self, downsample=1, heads=1, dk=0, dv=0, position="none")


@dataclass(frozen=True, slots=True)
class Case:
    """A layer with everything that decides what one step of it costs.

    Attributes:
        layer: the layer and its input's resolution.
        batch: images per step.
        mode: ``infer``, ``forward-backward`` or ``train``.
        precision: one of ``PRECISIONS``.
        attention: the form; ``auto`` until it is resolved for a device.
        compile: whether torch.compile wraps the module.
        memory_format: ``contiguous`` or ``channels-last``.
        optimizer: its name in ``train``, None in the other modes.
    """

    layer: Layer
    batch: int = 1
    mode: str = "infer"
    precision: str = "fp32"
    attention: str = "auto"
    compile: bool = False
    memory_format: str = "contiguous"
    optimizer: str | None = None

    @property
    def key(self) -> str:
        """The content hash: equal for equal cases, on every machine and at any time.

        It begins with a letter, so that no reader of a CSV takes one for a number.
        """
        values = [getattr(self, name) for name in _STEP_FIELDS]
        values += [getattr(self.layer, name) for name in _LAYER_FIELDS]
        return "c" + hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    def canonical(self) -> Case:
        """The same work under its one name: attention's settings mean nothing without attention."""
        layer, attention = self.layer, self.attention
        if layer.is_plain:
            layer, attention = layer.plain(), NO_ATTENTION
        optimizer = (self.optimizer or OPTIMIZERS[0]) if self.mode == "train" else None
        return replace(self, layer=layer, attention=attention, optimizer=optimizer)

    def plain(self) -> Case:
        """The case of the convolution that this layer replaces, all else equal."""
        return replace(self, layer=self.layer.plain(), attention=NO_ATTENTION).canonical()

    def to_dict(self) -> dict[str, Any]:
        """The case as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Case:
        """The case that ``to_dict`` wrote."""
        return cls(**{**values, "layer": Layer(**values["layer"])})


# Spelled out once: a grid makes hundreds of thousands of keys, and asdict() takes its time.
_LAYER_FIELDS = tuple(field.name for field in fields(Layer))
_STEP_FIELDS = tuple(field.name for field in fields(Case) if field.name != "layer")
