"""The tested versions: of each package that aabench needs, what is installed and what was tested.

The oldest supported versions are those that aabench's own metadata asks for; they are written
nowhere else.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, version

from aabench.measuring.machine.finding import Finding, Level

NEWEST_TESTED = {"torch": "2.15"}
"""The newest release that the test suite runs with, where a newer one is likely to behave
differently: torch chooses its kernels anew in most releases."""

INDISPENSABLE = frozenset({"torch", "numpy", "pandas", "psutil", "rich", "typer"})
"""Packages without which no sweep can run."""

_REQUIREMENT = re.compile(r"([\w.-]+)\s*>=\s*([\w.+!-]+)\s*")
_PYTHON_CLASSIFIER = re.compile(r"Programming Language :: Python :: (\d+\.\d+)")


@dataclass(frozen=True, slots=True)
class NeededPackage:
    """One package, or Python itself.

    Attributes:
        name: of the distribution.
        installed: its version; None if it is not installed.
        oldest: the oldest version that is supported.
        newest: the newest version that was tested, as far as it is told; None: any.

    """

    name: str
    installed: str | None
    oldest: str
    newest: str | None = None


def needed_packages(distribution: str = "aabench") -> list[NeededPackage]:
    """Python and every package that a distribution asks for, extras left out.

    Returns:
        Nothing where the distribution is not installed, as when its source is run in place.

    """
    try:
        facts = metadata(distribution)
    except PackageNotFoundError:
        return []
    asked = [
        NeededPackage(name, _installed(name), oldest, NEWEST_TESTED.get(name))
        for name, oldest in _lower_bounds(facts.get_all("Requires-Dist") or [])
    ]
    pythons = _PYTHON_CLASSIFIER.findall("\n".join(facts.get_all("Classifier") or []))
    python_bound = (facts.get_all("Requires-Python") or [""])[0]
    bound = _REQUIREMENT.fullmatch(f"Python{python_bound}")
    if bound is None:
        return asked
    newest = max(pythons, key=release, default=None)
    return [NeededPackage("Python", platform.python_version(), bound[2], newest), *asked]


def version_findings(packages: Sequence[NeededPackage]) -> Iterator[Finding]:
    """Which packages are missing, older or newer than what was tested; the others in one line."""
    if not packages:
        yield Finding(
            "versions",
            "note",
            "aabench itself is not installed, so the versions that it needs are not known",
            "install it: `python -m pip install --editable .` in its source folder",
        )
        return
    doubtful = {package.name: _doubt(package) for package in packages}
    yield from filter(None, doubtful.values())
    fine = [f"{item.name} {item.installed}" for item in packages if doubtful[item.name] is None]
    if fine:
        yield Finding("versions", "ok", f"within the supported range: {', '.join(fine)}")


def release(text: str) -> tuple[int, ...]:
    """The numbers of a version in order, without the part that only names a build (``+cu130``)."""
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0]))


def _doubt(package: NeededPackage) -> Finding | None:
    install = f"python -m pip install --upgrade '{package.name}>={package.oldest}'"
    if package.installed is None:
        level: Level = "blocks" if package.name in INDISPENSABLE else "warning"
        return Finding("versions", level, f"{package.name} is not installed", f"`{install}`")
    found, oldest = release(package.installed), release(package.oldest)
    if found + (0,) * len(oldest) < oldest:
        return Finding(
            "versions",
            "warning",
            f"{package.name} {package.installed} is older than {package.oldest}, the oldest supported",
            f"`{install}`" if package.name != "Python" else f"use Python {package.oldest} or newer",
        )
    newest = release(package.newest or "")
    if newest and found[: len(newest)] > newest:
        return Finding(
            "versions",
            "note",
            f"{package.name} {package.installed} is newer than {package.newest}, the newest tested",
            f"if something fails or looks wrong, try again with {package.name} {package.newest}",
        )
    return None


def _lower_bounds(requirements: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(name, oldest version) of every requirement without a condition."""
    for requirement in requirements:
        match = _REQUIREMENT.fullmatch(requirement)
        if match is not None:
            yield match[1], match[2]


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
