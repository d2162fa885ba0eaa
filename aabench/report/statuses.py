"""The statuses of rows as people see them: their order, their colour and which of them are failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aabench.cases.columns import STATUSES

if TYPE_CHECKING:
    import pandas as pd

PENDING = "pending"
"""Shown for a row that says why it has no status yet, as in a run that was interrupted."""

SHOWN_STATUSES = (*STATUSES, PENDING)
"""Every status that can be shown, in the order of counts and groups."""

MEASURED = frozenset({"ok", "predicted"})
"""What was asked for was done."""

FAILED = frozenset({"oom", "wrong", "timeout", "crashed"})
"""The case was tried and failed."""

TOO_LARGE = ("oom", "skipped", "timeout")
"""The case is possible, but more than this machine can do: the wall."""

_STYLES = {
    "ok": "green",
    "predicted": "cyan",
    "oom": "red",
    "unsupported": "yellow",
    "invalid": "dim",
    "wrong": "bold red",
    "timeout": "magenta",
    "crashed": "bold red",
    "skipped": "yellow",
    PENDING: "dim",
}


def status_style(status: str) -> str:
    """The rich style of a status; none for one that this version does not know."""
    return _STYLES.get(status, "")


def shown_status(frame: pd.DataFrame) -> pd.Series[str]:
    """Each row's status; ``pending`` or nothing where it has none."""
    import pandas as pd

    empty = pd.Series([""] * len(frame), index=frame.index, dtype=object)
    status = frame["status"] if "status" in frame.columns else empty
    reason = frame["reason"] if "reason" in frame.columns else empty
    without = status.isna() | (status == "")
    pending = without & reason.notna() & (reason != "")
    return status.astype(object).mask(without, "").mask(pending, PENDING)


def status_counts(status: pd.Series[str]) -> dict[str, int]:
    """How many rows have each status, in the order in which they are shown."""
    counts = {str(name): int(rows) for name, rows in status.value_counts(sort=False).items()}
    order = {name: place for place, name in enumerate(SHOWN_STATUSES)}
    names = sorted(filter(None, counts), key=lambda name: order.get(name, len(order)))
    return {name: counts[name] for name in names}
