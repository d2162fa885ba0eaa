"""The target: which device a prediction is for, here or not, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from aabench.cases.card import Card
from aabench.cost.bands import Bands
from aabench.cost.execution import Capability


@dataclass(frozen=True)
class Target:
    """One device that is predicted for.

    Attributes:
        device_type: ``cpu`` or ``cuda``.
        name: the processor's or card's, to find its calibration by; None for any of the type.
        capability: of a CUDA device, such as (9, 0).
        card: what is known of the card; None on the CPU, and of a card that nobody has described.
        threads: CPU threads; None for as many as torch would use here.
    """

    device_type: str = "cpu"
    name: str | None = None
    capability: Capability | None = None
    card: Card | None = None
    threads: int | None = None

    @classmethod
    def of_card(cls, card: Card) -> Target:
        """A card that need not be here."""
        return cls("cuda", None, card.capability, card)

    @property
    def label(self) -> str:
        """What tables call it: the device's type, or the card's key."""
        return self.device_type if self.card is None else self.card.key

    @cached_property
    def bands(self) -> Bands:
        """The bands of its predictions.

        Raises:
            UsageError: the user's file of calibrations is broken.
        """
        return Bands.load(self.device_type, device_name=self.name, card=self.card)
