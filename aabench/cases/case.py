"""The case: one fully specified thing to cost, frozen, with a content hash that is its resume key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from aabench.cases.network import Network
from aabench.cases.network_catalogue import LOCAL_ATTENTION, NO_ATTENTION

MODES = ("infer", "forward-backward", "train")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "amp-bf16", "amp-fp16")
MEMORY_FORMATS = ("contiguous", "channels-last")
OPTIMIZERS = ("sgd-momentum", "sgd", "adam", "adamw")

AUGMENTED, LOCAL, BOTTLENECK = KINDS = ("augmented", LOCAL_ATTENTION, "bottleneck")
"""The kinds of layer: the augmented convolution, SASA's local attention, BoT's attention."""

LOCAL_POSITION = "relative"
"""Local attention has vectors of the row and of the column offset, and nothing else."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer and the resolution of its input; augmented with dv = 0 is the plain convolution."""

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
    kind: str = AUGMENTED

    @property
    def attention_resolution(self) -> tuple[int, int]:
        """(H', W') that the attention sees: ceil(H / (stride * downsample)), likewise for W.

        Local and bottleneck attention run at their input's resolution and pool what comes out.
        """
        step = self.stride * self.downsample if self.kind == AUGMENTED else 1
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

    @property
    def takes_form(self) -> bool:
        """Whether an attention form makes a difference to it."""
        return not self.is_plain and self.kind != LOCAL

    @property
    def own_attention(self) -> str:
        """What stands for the form where it takes none."""
        return LOCAL if self.kind == LOCAL else NO_ATTENTION

    def plain(self) -> Layer:
        """The convolution that this layer replaces, written in its one canonical way."""
        bare = replace(self, kind=AUGMENTED, downsample=1, heads=1, dk=0, dv=0, position="none")
        # Both papers put their attention where a bottleneck has its 3x3 convolution.
        return bare if self.kind == AUGMENTED else replace(bare, kernel_size=3)

    def canonical(self) -> Layer:
        """The same layer in its one canonical way: without settings that mean nothing to it."""
        if self.kind == AUGMENTED:
            return self.plain() if self.is_plain else self
        depth = self.out_channels
        bare = replace(self, downsample=1, dk=depth, dv=depth)
        if self.kind == LOCAL:
            return replace(bare, position=LOCAL_POSITION)
        return replace(bare, kernel_size=1)


@dataclass(frozen=True, slots=True)
class Case:
    """A layer or a network with everything that decides what one step of it costs.

    Attributes:
        subject: the layer or the network, with its input's resolution.
        batch: images per step.
        mode: ``infer``, ``forward-backward`` or ``train``.
        precision: one of ``PRECISIONS``.
        attention: the form; ``auto`` until it is resolved for a device.
        compile: whether torch.compile wraps the module.
        memory_format: ``contiguous`` or ``channels-last``.
        optimizer: its name in ``train``, None in the other modes.
    """

    subject: Layer | Network
    batch: int = 1
    mode: str = "infer"
    precision: str = "fp32"
    attention: str = "auto"
    compile: bool = False
    memory_format: str = "contiguous"
    optimizer: str | None = None

    @property
    def layer(self) -> Layer:
        """The layer, where it is known to be one.

        Raises:
            TypeError: it is a network.
        """
        if not isinstance(self.subject, Layer):
            raise TypeError(f"{self.subject.name} is a network, not a layer")
        return self.subject

    @property
    def network(self) -> Network | None:
        """The network, None of a layer."""
        return self.subject if isinstance(self.subject, Network) else None

    @property
    def is_plain(self) -> bool:
        """Whether nothing in it is attention, so that there is nothing to compare it with."""
        return self.subject.is_plain

    @property
    def takes_form(self) -> bool:
        """Whether an attention form makes a difference to it."""
        return self.subject.takes_form

    @property
    def key(self) -> str:
        """The content hash: equal for equal cases, on every machine and at any time.

        It begins with a letter, so that no reader of a CSV takes one for a number.
        """
        values = [getattr(self, name) for name in _STEP_FIELDS]
        names = _LAYER_FIELDS if isinstance(self.subject, Layer) else _NETWORK_FIELDS
        values += [getattr(self.subject, name) for name in names]
        return "c" + hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    def canonical(self) -> Case:
        """The same work under its one name: attention's settings mean nothing without attention."""
        subject = self.subject.canonical()
        attention = self.attention if subject.takes_form else subject.own_attention
        optimizer = (self.optimizer or OPTIMIZERS[0]) if self.mode == "train" else None
        return replace(self, subject=subject, attention=attention, optimizer=optimizer)

    def plain(self) -> Case:
        """The case of what this is compared with, all else equal.

        Of a layer that is the convolution it replaces, of a network the network without attention.
        """
        return replace(self, subject=self.subject.plain()).canonical()

    def to_dict(self) -> dict[str, Any]:
        """The case as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Case:
        """The case that ``to_dict`` wrote."""
        kind: type[Layer | Network] = Network if "name" in values["subject"] else Layer
        return cls(**{**values, "subject": kind(**values["subject"])})


# Spelled out once: a grid makes hundreds of thousands of keys, and asdict() takes its time.
_LAYER_FIELDS = tuple(field.name for field in fields(Layer))
_NETWORK_FIELDS = tuple(field.name for field in fields(Network))
_STEP_FIELDS = tuple(field.name for field in fields(Case) if field.name != "subject")
