"""The errors a user of aabench can cause, each saying what was wrong and what to do instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO = 3
EXIT_UNSURE = 4
EXIT_INTERRUPTED = 130
EXIT_UNHEARD = 141
"""The reader of standard output went before the end: what shells report of a process that SIGPIPE ended."""


class AabenchError(Exception):
    """Base of every error that aabench raises on purpose; ``exit_code`` is what the CLI exits with."""

    exit_code = EXIT_FAILED


class UsageError(AabenchError, ValueError):
    """Something the user typed or passed cannot be used.

    Args:
        what: one clause naming what is wrong, without a full stop.
        got: the value received.
        allowed: the values that would have been accepted.
        instead: what to type or do instead.
    """

    exit_code = EXIT_USAGE

    def __init__(
        self,
        what: str,
        *,
        got: object = None,
        allowed: str | Iterable[str] | None = None,
        instead: str | None = None,
    ) -> None:
        parts = [what]
        if got is not None:
            parts.append(f"got {_shown(got)}")
        if allowed is not None:
            parts.append(f"allowed: {allowed if isinstance(allowed, str) else ', '.join(allowed)}")
        if instead is not None:
            parts.append(instead)
        super().__init__("; ".join(parts))
        self.what = what


class UnknownName(UsageError):
    """A name that no catalogue holds; offers the nearest names and lists the known ones."""

    def __init__(self, kind: str, got: str, known: Iterable[str], instead: str | None = None):
        names = list(known)
        near = difflib.get_close_matches(str(got), names, n=3, cutoff=0.5)
        if instead is None and near:
            instead = f"did you mean {' or '.join(near)}?"
        super().__init__(f"unknown {kind}", got=got, allowed=names, instead=instead)


class UnsupportedCase(AabenchError):
    """This attention form cannot run this case: raised by the form itself, by name, with the reason.

    In a sweep it becomes a row with status ``unsupported``.
    """

    def __init__(self, form: str, reason: str) -> None:
        super().__init__(f"{form}: {reason}")
        self.form = form
        self.reason = reason


class RunError(AabenchError):
    """A run cannot go on or a run folder cannot be used, through no fault of a single case."""


def _shown(value: object, limit: int = 120) -> str:
    """A value as an error message shows it: quoted when it is text, cut when it is long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
