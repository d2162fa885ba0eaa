"""The ceilings of a machine or card: how fast it can move bytes, multiply matrices and start kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RATE_OF = {
    "fp32": "fp32",
    "tf32": "tf32",
    "bf16": "bf16",
    "fp16": "fp16",
    "amp-bf16": "bf16",
    "amp-fp16": "fp16",
}
"""The format in which products run, by precision of a case: the rate that counts."""

RATES = tuple(dict.fromkeys(RATE_OF.values()))
"""The formats that may have a rate."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What no step can exceed.

    Attributes:
        bandwidth_bytes_per_s: bytes read plus bytes written, per second.
        rates_flops_per_s: FLOP/s of dense matrix products by format; a format that is missing has
            no rate here, and no time is predicted for it.
        launch_s: seconds of host work to start one operation.
        source: where the figures are from, in a few words: they are never shown without it.
        is_measured: whether they were measured on the machine, or are a datasheet's.
    """

    bandwidth_bytes_per_s: float
    rates_flops_per_s: Mapping[str, float]
    launch_s: float
    source: str
    is_measured: bool

    def rate(self, precision: str) -> float | None:
        """FLOP/s of the products of a case in this precision; None if it is not known."""
        return self.rates_flops_per_s.get(RATE_OF[precision])
