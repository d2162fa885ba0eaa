"""The part: one command of the whole, with the time it is promised and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """What became of a part."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped at its time"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Part:
    """One command.

    Attributes:
        name: one word; its run folder and the files of its output are called so.
        purpose: what it is for, for the summary.
        words: what follows ``python -m``.
        seconds: the time it is promised.
        least_seconds: with less than this it is not begun.
        needs: parts that must not have failed or been left out.
        good_codes: exit codes of a part that did its work.
    """

    name: str
    purpose: str
    words: tuple[str, ...]
    seconds: float
    least_seconds: float = 5.0
    needs: tuple[str, ...] = ()
    good_codes: tuple[int, ...] = (0,)

    def needing(self, *names: str) -> Part:
        """The same part, which is not run without what others leave."""
        return replace(self, needs=names)

    def accepting(self, *codes: int) -> Part:
        """The same part, whose work is done with any of these exit codes."""
        return replace(self, good_codes=codes)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended.

    Attributes:
        code: its exit code; None where its time was up.
        remark: the last line that it wrote to standard error.
    """

    code: int | None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class PartResult:
    """What became of a part.

    Attributes:
        part: the part.
        state: how it ended.
        seconds: wall time it took.
        remark: why it is not done; empty if it is.
    """

    part: Part
    state: State
    seconds: float = 0.0
    remark: str = ""
