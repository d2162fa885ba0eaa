"""The ledger: which rounds of which cases are done, kept small enough for very long sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from aabench.runs.folder import Record

RETRIED = ("crashed", "timeout")
"""Statuses that ``--retry`` measures again."""


@dataclass
class Progress:
    """What is known of one case: its rounds so far, whether it failed, and where they ran.

    ``kind`` is the model of the device; None of records that do not say. Rounds on devices of different
    kinds do not add up, so the case starts over where it is measured by another one.
    """

    rounds: dict[int, int] = field(default_factory=dict)
    sample_places: dict[int, tuple[int, int]] = field(default_factory=dict)
    failed: str = ""
    kind: str | None = None
    devices: list[str] = field(default_factory=list)


class Ledger:
    """The state of a run, rebuilt from its records when it is resumed."""

    def __init__(self) -> None:
        self._cases: dict[str, Progress] = {}

    def enter(self, record: Record) -> None:
        """Take note of a record; a later attempt of a round replaces an earlier one."""
        case = self._cases.setdefault(record.key, Progress())
        if is_other_kind(case.kind, record.kind):
            case = self._cases[record.key] = Progress()
        case.kind = record.kind or case.kind
        device = record.outcome.device
        case.devices = [*(other for other in case.devices if other != device), device]
        case.rounds[record.round] = record.attempt
        outcome = record.outcome
        case.failed = "" if outcome.status == "ok" else outcome.status
        if record.sample_place is not None:
            case.sample_places[record.round] = record.sample_place

    def is_due(self, key: str, round_number: int, *, retry: bool, kind: str | None = None) -> bool:
        """Whether this round of this case is still to be measured.

        Args:
            key: of the case.
            round_number: from 0.
            retry: whether crashes and time-outs count as not measured.
            kind: of the device that would measure it; None for whichever did so far.
        """
        case = self._cases.get(key)
        if case is None or is_other_kind(case.kind, kind):
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

    def origin(self, key: str) -> tuple[str, str | None] | None:
        """The device that measured a case last and its kind; None where none did."""
        case = self._cases.get(key)
        return None if case is None else (case.devices[-1], case.kind)

    def devices(self, key: str) -> list[str]:
        """The devices that the rounds of a case ran on; more than one if a place was lost."""
        return self._cases.get(key, Progress()).devices

    def all_samples(self, key: str) -> list[tuple[int, int]]:
        """Where the samples of a case's rounds stand, by round."""
        return self.earlier_samples(key, round_number=-1)

    def earlier_samples(self, key: str, round_number: int) -> list[tuple[int, int]]:
        """Where the samples of a case's other rounds stand."""
        case = self._cases.get(key, Progress())
        places = sorted(case.sample_places.items())
        return [place for number, place in places if number != round_number]


def is_other_kind(first: str | None, second: str | None) -> bool:
    """Whether two kinds of device are known and differ."""
    return first is not None and second is not None and first != second
