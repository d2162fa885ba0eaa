"""The budgets that a page offers: round sizes of memory, and the cards that are known."""

from __future__ import annotations

from collections.abc import Mapping

from aabench.cases.card import known_cards

ROUND_GIB = (8, 12, 16, 24, 32, 40, 48, 80, 141)
"""Sizes in GiB that need no card."""

START = "16 GiB"
"""The budget to begin with."""


def budgets_of(given: Mapping[str, int] | None = None) -> dict[str, int]:
    """Bytes by name, smallest first: round sizes, what the known cards leave a process, and the given.

    Args:
        given: further budgets by name, in bytes.
    """
    found = {f"{size} GiB": size * 2**30 for size in ROUND_GIB}
    found |= {card.name: card.usable_bytes for card in known_cards()}
    found |= given or {}
    return dict(sorted(found.items(), key=lambda budget: budget[1]))
