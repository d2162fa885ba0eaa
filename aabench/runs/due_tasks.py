"""The tasks of a sweep that are due, made for whichever place is free to run one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aabench.runs.agenda import Agenda
from aabench.runs.ledger import Ledger
from aabench.runs.place import Place
from aabench.runs.plan import Plan
from aabench.runs.settings import RunSettings
from aabench.runs.task import Task

Predicted = Mapping[str, Mapping[str, Any]]
"""Predicted columns by the case's key."""


class PlaceObserver(Protocol):
    """Is told what becomes of the places of a sweep."""

    def lost(self, place: str, reason: str) -> None:
        """A place is gone; what it was doing runs elsewhere."""
        ...

    def message(self, text: str) -> None:
        """Something that whoever watches should know."""
        ...


class DueTasks:
    """What is left of a plan, in the order and at the places that comparisons call for.

    Args:
        plan: the cases.
        settings: how they are measured.
        ledger: what is done; the caller enters every record before the next task is taken.
        retry: whether crashes and time-outs are measured again.
        predicted: what the closed forms say of the cases at a place.
        observer: is told when a place is lost or comes back.
    """

    def __init__(
        self,
        plan: Plan,
        settings: RunSettings,
        ledger: Ledger,
        *,
        retry: bool,
        predicted: Callable[[Place], Predicted],
        observer: PlaceObserver,
    ) -> None:
        self._plan, self._settings, self._ledger = plan, settings, ledger
        self._retry, self._predicted, self._observer = retry, predicted, observer
        self._agenda = Agenda(plan.groups, settings.rounds, settings.seed, self.is_due)

    def is_due(self, key: str, round_number: int, kind: str | None = None) -> bool:
        """Whether a round of a case is still to be measured, by devices of a kind."""
        return self._ledger.is_due(key, round_number, retry=self._retry, kind=kind)

    def count(self) -> int:
        """Rounds of cases that are due."""
        rounds = range(self._settings.rounds)
        return sum(self.is_due(key, number) for key in self._plan.cases for number in rounds)

    def open(self, places: Sequence[Place]) -> None:
        """Begin with these places; groups that were begun earlier go on where they were."""
        for place in places:
            self._agenda.open(place.label, place.kind)
        only = places[0] if len(places) == 1 else None
        if len(self._agenda) < len(places):
            self._observer.message(
                f"at most {len(self._agenda)} of {len(places)} devices have something to do: cases that are "
                "compared with each other stay on one device"
            )
        for key, group in self._plan.groups.items():
            origin = self._ledger.origin(key)
            if only is not None:
                self._agenda.assign(group, only.label, origin[1] if origin else None)
            elif origin is not None:
                self._agenda.assign(group, *origin)

    def take(self, place: Place) -> Task | None:
        """The next task for a place that is free."""
        found = self._agenda.take(place.label)
        if found is None:
            return None
        key, number = found
        needed = self._predicted(place).get(key, {}).get("predicted_peak_bytes")
        return Task(
            case=self._plan.cases[key],
            round=number,
            device=place.facts.device,
            seconds=self._settings.seconds_per_round(place.facts.type),
            enough_samples=self._settings.samples_per_round,
            seed=self._settings.seed,
            attempt=self._ledger.attempt(key, number),
            place=place.label,
            needed_bytes=needed if place.facts.type == "cpu" else None,
        )

    def lose(self, place: Place, reason: str) -> None:
        """A place is gone; what it had begun goes on elsewhere."""
        self._agenda.close(place.label)
        self._observer.lost(place.label, reason)

    def regain(self, place: Place) -> None:
        """A place that was lost works again."""
        self._agenda.open(place.label, place.kind)
        self._observer.message(f"{place.label} is back")
