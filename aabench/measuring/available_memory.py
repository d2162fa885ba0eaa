"""Available memory: what a new process may still take before the machine or its control group ends it.

Knows the kernel's files only; they are read below a root that can be passed, so that tests bring
their own. Where there is no such file, as on macOS and Windows, psutil answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path("/")

NO_LIMIT = 1 << 60
"""Limits from here on are the kernel's way of saying that there is none."""


@dataclass(frozen=True, slots=True)
class _Hierarchy:
    """Where a version of control groups keeps its memory files, and what they are called."""

    mount: str
    limit: str
    usage: str
    reclaimable: str


_VERSION_1 = _Hierarchy(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_VERSION_2 = _Hierarchy("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
_HYBRID = _Hierarchy("sys/fs/cgroup/unified", "memory.max", "memory.current", "inactive_file")


def available_bytes(root: Path = ROOT) -> int:
    """Bytes that can be taken without swapping or being killed, 0 or more.

    The smaller of the kernel's MemAvailable and, for the process's control group and every group
    above it, the limit minus use; page cache that the kernel would drop first is not counted as
    used. Control groups of version 1, version 2 and both at once are understood.

    Args:
        root: the folder that holds ``proc`` and ``sys``.

    """
    free = _meminfo(root, "MemAvailable")
    rooms = [psutil.virtual_memory().available if free is None else free]
    for group, hierarchy in _groups(root):
        limit = _limit(group / hierarchy.limit)
        used = _number(group / hierarchy.usage)
        if limit is not None and used is not None:
            rooms.append(limit - used + _reclaimable(group, hierarchy))
    return max(0, min(rooms))


def total_bytes(root: Path = ROOT) -> int:
    """Bytes of memory of the machine, whatever a control group allows of them."""
    total = _meminfo(root, "MemTotal")
    return psutil.virtual_memory().total if total is None else total


def limit_bytes(root: Path = ROOT) -> int | None:
    """The tightest memory limit of the process's control group and those above; None: no limit."""
    limits = [_limit(group / hierarchy.limit) for group, hierarchy in _groups(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _groups(root: Path) -> Iterator[tuple[Path, _Hierarchy]]:
    """The folders of the process's memory control group and of all groups above it.

    Inside a container the process's path may be the host's while only the container's own group is
    mounted: folders that do not exist are passed over, and the mount itself always counts.
    """
    for line in _lines(root / "proc/self/cgroup"):
        _, _, group = line.partition(":")
        controllers, _, place = group.partition(":")
        if controllers == "":
            hierarchies = [_VERSION_2, _HYBRID]
        elif "memory" in controllers.split(","):
            hierarchies = [_VERSION_1]
        else:
            continue
        parts = [part for part in place.split("/") if part and part != ".."]
        for hierarchy in hierarchies:
            mount = root / hierarchy.mount
            for depth in range(len(parts), -1, -1):
                yield mount.joinpath(*parts[:depth]), hierarchy


def _limit(path: Path) -> int | None:
    limit = _number(path)
    return None if limit is None or limit >= NO_LIMIT else limit


def _reclaimable(group: Path, hierarchy: _Hierarchy) -> int:
    for line in _lines(group / "memory.stat"):
        name, _, value = line.partition(" ")
        if name == hierarchy.reclaimable and value.isdecimal():
            return int(value)
    return 0


def _meminfo(root: Path, name: str) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        key, _, value = line.partition(":")
        words = value.split()
        if key == name and words and words[0].isdecimal():
            return int(words[0]) * 1024
    return None


def _number(path: Path) -> int | None:
    """The number that a kernel file holds; None if there is no such file, or it says ``max``."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _lines(path: Path) -> list[str]:
    """The lines of a kernel file; none if it does not exist here, or no longer."""
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
