"""The part: one named piece of a layer with what it costs, as predicted and as explained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a layer, such as its convolution, its projection to k, q, v, or its logits.

    Attributes:
        name: short, such as ``kqv``.
        params: parameters that this part owns.
        macs_forward: multiply-accumulates of its forward pass, for the whole batch.
        macs_step: multiply-accumulates of the whole step: backward and recomputation included.
        bytes_saved: bytes kept alive from its forward to its backward pass; 0 in inference.
        meaning: what it does, in a few words.
    """

    name: str
    params: int
    macs_forward: int
    macs_step: int
    bytes_saved: int
    meaning: str = ""
