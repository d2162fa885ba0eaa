"""The subject of a verdict: one step of a network in which some or all of its attention is there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aabench.cost.traced.step_settings import StepSettings
from aabench.fitting.source import Source


@dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        source: of the network.
        attention: the form of all its augmented convolutions, or ``auto``.
        batch: images a step.
        settings: what the step is, and on which device.
        layers: the names of the layers that are augmented; None for all, none for the plain network.
    """

    source: Source
    attention: str
    batch: int
    settings: StepSettings
    layers: frozenset[str] | None = None

    def with_settings(self, **changes: object) -> Subject:
        """The same with other settings of the step."""
        return replace(self, settings=replace(self.settings, **changes))  # type: ignore[arg-type]

    def with_network(self, **changes: object) -> Subject:
        """The same with another ``heads``, ``kappa``, ``upsilon``, ``downsample`` or ``resolution``."""
        return replace(self, source=self.source.changed(**changes))

    def plain(self) -> Subject:
        """The same step without any attention."""
        return replace(self, layers=frozenset(), attention="auto")
