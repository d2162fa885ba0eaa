"""The ledger: which rounds of which cases are done, kept small enough for very long sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from aabench.runs.folder import Record

RETRIED = ("crashed", "timeout")
"""Statuses that ``--retry`` measures again."""


@dataclass
class Progress:
    """What is known of one case: its rounds so far and whether it failed."""

    rounds: dict[int, int] = field(default_factory=dict)
    sample_places: dict[int, tuple[int, int]] = field(default_factory=dict)
    failed: str = ""


class Ledger:
    """The state of a run, rebuilt from its records when it is resumed."""

    def __init__(self) -> None:
        self._cases: dict[str, Progress] = {}

    def enter(self, record: Record) -> None:
        """Take note of a record; a later attempt of a round replaces an earlier one."""
        case = self._cases.setdefault(record.key, Progress())
        case.rounds[record.round] = record.attempt
        outcome = record.outcome
        case.failed = "" if outcome.status == "ok" else outcome.status
        if record.sample_place is not None:
            case.sample_places[record.round] = record.sample_place

    def is_due(self, key: str, round_number: int, *, retry: bool) -> bool:
        """Whether this round of this case is still to be measured."""
        case = self._cases.get(key)
        if case is None:
            return True
        if case.failed:
            return retry and case.failed in RETRIED and round_number >= max(case.rounds)
        return round_number not in case.rounds

    def attempt(self, key: str, round_number: int) -> int:
        """The number of the next attempt at a round."""
        case = self._cases.get(key)
        if case is None or round_number not in case.rounds:
            return 0
        return case.rounds[round_number] + 1

    def all_samples(self, key: str) -> list[tuple[int, int]]:
        """Where the samples of a case's rounds stand, by round."""
        return self.earlier_samples(key, round_number=-1)

    def earlier_samples(self, key: str, round_number: int) -> list[tuple[int, int]]:
        """Where the samples of a case's other rounds stand."""
        case = self._cases.get(key, Progress())
        places = sorted(case.sample_places.items())
        return [place for number, place in places if number != round_number]
