"""The verdict: whether a predicted need fits a budget, does not, or comes too close to tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aabench.fitting.budget import Budget

MARGIN_SHARE = 0.03
"""Of what is needed: left free in a ``fits``."""

LEAST_CUDA_MARGIN = 256 * 2**20
"""Bytes left free at the least on a card, whose context, kernels and fragmentation are not ours to know.
On the CPU the allocator's own bytes are judged, beside which there is nothing of the kind."""


class Verdict(StrEnum):
    """What can be said of a need and a budget."""

    FITS = "fits"
    DOES_NOT_FIT = "does not fit"
    TOO_CLOSE = "too close to tell"


@dataclass(frozen=True, slots=True)
class Need:
    """Predicted memory of one process that runs one step again and again; bytes.

    Attributes:
        peak_bytes: most bytes allocated, to expect.
        low_bytes: of the whole process, at the least.
        high_bytes: of the whole process, at the most: peak, what the allocator keeps beside it, and the
            context.
        margin_bytes: what must be left free on top for a ``fits``.
        basis: what stands behind the prediction.
    """

    peak_bytes: int
    low_bytes: int
    high_bytes: int
    margin_bytes: int
    basis: str

    @classmethod
    def of(cls, peak: int, low: int, high: int, basis: str, *, device_type: str) -> Need:
        """With the margin that a device asks for."""
        least = LEAST_CUDA_MARGIN if device_type == "cuda" else 0
        return cls(peak, low, high, max(least, round(MARGIN_SHARE * high)), basis)

    @property
    def safe_bytes(self) -> int:
        """What a budget must hold for a ``fits``, without the user's ``--extra``."""
        return self.high_bytes + self.margin_bytes


@dataclass(frozen=True, slots=True)
class Judgement:
    """A need held against a budget.

    Attributes:
        need: what is predicted.
        budget: what there is.
    """

    need: Need
    budget: Budget

    @property
    def verdict(self) -> Verdict:
        """``fits`` even at its most with the margin; ``does not fit`` even at its least."""
        if self.left_bytes >= 0:
            return Verdict.FITS
        if self.short_bytes > 0:
            return Verdict.DOES_NOT_FIT
        return Verdict.TOO_CLOSE

    @property
    def fits(self) -> bool:
        """Whether the verdict is ``fits``."""
        return self.verdict is Verdict.FITS

    @property
    def left_bytes(self) -> int:
        """What is left beside the most that may be needed and the margin; below 0: missing."""
        return self.budget.usable_bytes - self.needed_bytes

    @property
    def short_bytes(self) -> int:
        """By how much even the least that is needed exceeds the budget; below 0: it does not."""
        return self.need.low_bytes - self.budget.usable_bytes

    @property
    def needed_bytes(self) -> int:
        """What the budget must hold for a ``fits``."""
        return self.need.safe_bytes + self.budget.extra_bytes
