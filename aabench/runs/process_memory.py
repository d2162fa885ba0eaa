"""What the kernel says of a process's memory, read by the parent that watches it."""

from __future__ import annotations

from pathlib import Path

import psutil


def resident_bytes(pid: int) -> int:
    """Bytes of memory that a process holds; 0 when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def oom_kills(events: Path = Path("/sys/fs/cgroup/memory.events")) -> int:
    """Processes of this control group that the kernel has ended for lack of memory."""
    if not events.exists():
        return 0
    words = dict(line.split() for line in events.read_text().splitlines() if line.count(" ") == 1)
    return int(words.get("oom_kill", 0))
