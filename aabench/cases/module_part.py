"""The module part: one module of a network with what it costs, as predicted and as measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModulePart:
    """One module of a network, with all modules inside it; every figure but the time is predicted.

    Attributes:
        name: as in ``named_modules``; ``(rest)`` for what happens between the modules listed.
        kind: its class.
        depth: 1 for the model's children, 2 for theirs, and so on.
        output_shape: of its first output, () if it has none.
        params: elements of its parameters.
        macs_forward: multiply-accumulates of its forward pass, the same for every attention form.
        macs_step: multiply-accumulates of the whole step as executed.
        bytes_saved: bytes it keeps alive from its forward to its backward pass.
        bytes_at_peak: of the bytes alive at the network's peak, those that it allocated.
        live_peak_bytes: most bytes of the whole step alive while it runs.
        attention: Nh, dk, dv and form of an augmented convolution; empty of any other module.
        forward_s: measured seconds of its forward pass; None if not measured.
        at_peak: ``bytes_at_peak`` by what they are, such as ``activations``.
    """

    name: str
    kind: str
    depth: int
    output_shape: tuple[int, ...]
    params: int
    macs_forward: int
    macs_step: int
    bytes_saved: int
    bytes_at_peak: int
    live_peak_bytes: int
    attention: str = ""
    forward_s: float | None = None
    at_peak: Mapping[str, int] = field(default_factory=dict)
