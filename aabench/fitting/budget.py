"""The budget: how many bytes a network may take, where that number is from, and what is set aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from aabench.cases.byte_size import parse_bytes
from aabench.cases.card import Card
from aabench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Budget:
    """Memory for one process.

    Attributes:
        total_bytes: of the card, the machine or the user's word.
        source: where that is from, in a few words.
        reserve_bytes: of it, kept for other tenants.
        extra_bytes: added to what is predicted, for what nobody can know.
    """

    total_bytes: int
    source: str
    reserve_bytes: int = 0
    extra_bytes: int = 0

    @property
    def usable_bytes(self) -> int:
        """What is left for the process."""
        return self.total_bytes - self.reserve_bytes

    @classmethod
    def of(
        cls,
        total: str | int | None,
        *,
        card: Card | None = None,
        free_bytes: int | None = None,
        reserve: str | None = None,
        extra: str | None = None,
    ) -> Self:
        """The budget that a user's words stand for.

        Args:
            total: such as ``16GiB``, or bytes; without it what the card leaves to a process, or what
                is free here.
            card: that is judged for.
            free_bytes: of this machine's device, now.
            reserve: for other tenants, such as ``1GiB``.
            extra: for what nobody can know, such as ``300MiB``.

        Raises:
            UsageError: no size, no unit, nothing left, or nothing to go by.
        """
        size, source = _total(total, card, free_bytes)
        budget = cls(
            size,
            source,
            parse_bytes(reserve, "--reserve") if reserve else 0,
            parse_bytes(extra, "--extra") if extra else 0,
        )
        if budget.usable_bytes <= 0:
            raise UsageError(
                "--reserve leaves nothing of the budget",
                got=reserve,
                allowed=f"less than {size} bytes",
            )
        return budget


def _total(total: str | int | None, card: Card | None, free: int | None) -> tuple[int, str]:
    if isinstance(total, int):
        if isinstance(total, bool) or total < 1:
            raise UsageError("budget: a size of no bytes", got=total, allowed="1 byte or more")
        return total, "the budget"
    if total is not None:
        return parse_bytes(total, "--budget"), f"--budget {total.strip()}"
    if card is not None:
        return card.usable_bytes, f"what {card.name} leaves to a process"
    if free is not None:
        return free, "free on this machine now"
    raise UsageError("nothing says how much memory there is", instead="give --budget or --gpu")
