"""The allocation trace: what an allocator handed out and took back, in order, and its highest level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AllocationEvent:
    """One block handed out or taken back.

    Attributes:
        time_ns: when; events are ordered by it.
        address: where the block begins.
        size: its bytes, negative when it is taken back.

    """

    time_ns: int
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Level:
    """Bytes alive over those at the start of a trace.

    Attributes:
        peak_bytes: at most, at any moment.
        final_bytes: at the end.

    """

    peak_bytes: int
    final_bytes: int


def level_of(events: Iterable[AllocationEvent]) -> Level:
    """Follow the bytes alive through a trace, counting only blocks that the trace itself allocated.

    An allocator that is only listened to some of the time remembers blocks whose freeing it missed,
    and later reports their size for an unrelated block at the same address. Hence blocks are
    followed by address: taking back an address that was not handed out in this trace changes
    nothing, and handing out an address that is believed alive says that its freeing was missed.
    """
    alive: dict[int, int] = {}
    now = peak = 0
    for event in sorted(events, key=lambda event: event.time_ns):
        now -= alive.pop(event.address, 0)
        if event.size > 0:
            alive[event.address] = event.size
            now += event.size
            peak = max(peak, now)
    return Level(peak, now)
