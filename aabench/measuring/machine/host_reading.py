"""The host reading: what a machine's memory, processors and system have to spare at one moment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from aabench.measuring.available_memory import ROOT, available_bytes, limit_bytes, total_bytes
from aabench.measuring.machine.processor_quota import quota_cores


@dataclass(frozen=True, slots=True)
class HostReading:
    """One machine at one moment; None is what is not known here.

    Attributes:
        cores: of the machine.
        usable_cores: that this process may run on.
        quota_cores: as many cores' time as the control group grants; None: no limit.
        load: processes that ran or waited to run, on average over a minute.
        memory_bytes: of the machine, or what the control group allows of it.
        available_bytes: that a new process may still take.
        swap_used_bytes: memory of processes that was moved to disk.

    """

    cores: int
    usable_cores: int
    quota_cores: float | None
    load: float | None
    memory_bytes: int
    available_bytes: int
    swap_used_bytes: int


def read_host(root: Path = ROOT) -> HostReading:
    """Read the machine's state now.

    Args:
        root: the folder that holds ``proc`` and ``sys``.

    """
    cores = os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)
    limit = limit_bytes(root)
    total = total_bytes(root)
    return HostReading(
        cores=cores,
        usable_cores=cores if affinity is None else len(affinity(0)),
        quota_cores=quota_cores(root),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        memory_bytes=total if limit is None else min(limit, total),
        available_bytes=available_bytes(root),
        swap_used_bytes=psutil.swap_memory().used,
    )
