"""The GPU reading: what NVML says of one card at one moment, in SI units, as far as it says it."""

from __future__ import annotations

from dataclasses import dataclass

SLOWDOWNS = {
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
"""Reasons for lowered clocks that make a measurement slower than the card is."""

CHOICES = {
    0x1: "idle",
    0x2: "application clocks",
    0x10: "sync boost",
    0x100: "display clocks",
}
"""Reasons that somebody chose, or that end as soon as there is work."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One card at one moment; None is what could not be read.

    Attributes:
        name: product name.
        uuid: NVML's UUID, with its ``GPU-`` or ``MIG-`` prefix.
        driver: version of the driver.
        memory_total_bytes: of the card.
        memory_used_bytes: by everyone.
        sm_clock_hz: of the multiprocessors.
        memory_clock_hz: of the memory.
        temperature_c: degrees Celsius of the chip.
        power_w: drawn by the card.
        power_limit_w: enforced by the driver.
        clock_reasons: why the clocks are not higher, every reason that is active.
        slowed_s: seconds that power or heat have held the clocks down, since the driver was loaded.
        other_processes: compute processes on the card besides this one.
        energy_j: drawn by the card since the driver was loaded.
        problem: the first thing that went wrong while reading, in one line.

    """

    name: str | None = None
    uuid: str | None = None
    driver: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    sm_clock_hz: int | None = None
    memory_clock_hz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    clock_reasons: tuple[str, ...] | None = None
    slowed_s: float | None = None
    other_processes: int | None = None
    energy_j: float | None = None
    problem: str | None = None

    @property
    def slowdowns(self) -> tuple[str, ...]:
        """The active reasons that make the card slower than it is."""
        return tuple(reason for reason in self.clock_reasons or () if reason in SLOWDOWNS.values())


def clock_reasons(bits: int) -> tuple[str, ...]:
    """The names of the reasons in NVML's bit mask; a bit that is not known is named by its value."""
    names = SLOWDOWNS | CHOICES
    return tuple(
        names.get(1 << place, f"reason {1 << place:#x}")
        for place in range(bits.bit_length())
        if bits >> place & 1
    )
