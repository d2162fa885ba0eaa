"""What a plan has to know of the device it is for: its type, name and compute capability."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """One device that cases run on.

    Attributes:
        device: the torch device, such as ``cpu`` or ``cuda:0``.
        name: the processor's or card's name.
        capability: CUDA compute capability, None on the CPU.
    """

    device: str
    name: str
    capability: tuple[int, int] | None = None

    @property
    def type(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.device.split(":")[0]

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DeviceFacts:
        """The facts that ``to_dict`` wrote."""
        capability = values.get("capability")
        pair = None if capability is None else (int(capability[0]), int(capability[1]))
        return cls(str(values["device"]), str(values["name"]), pair)


UNKNOWN_DEVICE = DeviceFacts("cpu", "unknown")
"""Stands for the device of a run that does not say."""
