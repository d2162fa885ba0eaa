"""The finding: one thing that a look at this machine showed, how much it matters, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "blocks"]

Area = Literal["devices", "kernels", "disturbances", "versions", "results"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        area: what it is about.
        level: ``ok``; ``note``, good to know; ``warning``, figures or some cases will suffer;
            ``blocks``, nothing can be measured.
        text: what was seen, with its figure.
        remedy: what to do about it; empty where there is nothing to do.

    """

    area: Area
    level: Level
    text: str
    remedy: str = ""


def can_measure(findings: Iterable[Finding]) -> bool:
    """Whether nothing among the findings keeps this machine from measuring."""
    return all(finding.level != "blocks" for finding in findings)
