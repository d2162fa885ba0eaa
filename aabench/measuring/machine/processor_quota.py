"""The processor quota: how many cores' time a control group grants, which no count of cores shows.

In a container with a quota torch still starts a thread for every core of the machine; the kernel
then stops all of them for the rest of each period.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aabench.measuring.available_memory import ROOT


def quota_cores(root: Path = ROOT) -> float | None:
    """The tightest quota of the process's control group and those above it, in cores.

    Args:
        root: the folder that holds ``proc`` and ``sys``.

    Returns:
        Processor seconds per second; None where there is no limit.

    """
    return min(_quotas(root), default=None)


def _quotas(root: Path) -> Iterator[float]:
    for line in _words_by_line(root / "proc/self/cgroup", separator=":"):
        if len(line) != 3:
            continue
        _, controllers, place = line
        if controllers == "":
            for group in _with_parents(root / "sys/fs/cgroup", place):
                yield from _quota(*_words(group / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for group in _with_parents(root / "sys/fs/cgroup" / controllers, place):
                yield from _quota(
                    *_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")
                )


def _quota(*words: str) -> Iterator[float]:
    """Quota over period; nothing where one of them is missing, no number, or means no limit."""
    if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
        yield int(words[0]) / int(words[1])


def _with_parents(mount: Path, place: str) -> Iterator[Path]:
    """A group's folder and those above it; the path may be the host's, so some need not exist."""
    parts = [part for part in place.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:depth])


def _words(path: Path) -> list[str]:
    return next(_words_by_line(path), [])


def _words_by_line(path: Path, separator: str | None = None) -> Iterator[list[str]]:
    """The words of a kernel file; none if it does not exist here."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        yield line.split(separator, 2)
