"""The agenda: which round of which case a free place runs next, so that what is compared shares a card.

Cases whose figures will be divided by each other (all forms of a layer, and the convolution that it
replaces) make up a group, and a group stays with the place that took it up. A place finishes its own
groups round by round, and takes up another one only when its own have nothing left in that round: a
quicker card so takes more of them.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping
from typing import Protocol

Key = str
Group = str
Label = str
Kind = str


class IsDue(Protocol):
    """Whether a round of a case is still to be measured by devices of a kind."""

    def __call__(self, key: Key, round_number: int, kind: Kind | None) -> bool:
        """None stands for the kind that measured the case so far."""
        ...


class Agenda:
    """The rounds of cases that are due, and the place that each group belongs to.

    Args:
        groups: the group of each case by its key.
        rounds: of every case.
        seed: of the order within a round.
        is_due: asked again right before a round is handed out, since a failure ends a case.
    """

    def __init__(self, groups: Mapping[Key, Group], rounds: int, seed: int, is_due: IsDue) -> None:
        self._groups, self._rounds, self._seed = groups, range(rounds), seed
        self._is_due = is_due
        self._members: dict[Group, list[Key]] = {}
        for key, group in groups.items():
            self._members.setdefault(group, []).append(key)
        self._kinds: dict[Label, Kind] = {}
        self._queues: dict[Label, _Queues] = {}
        self._measured_by: dict[Group, Kind] = {}
        self._homeless: dict[Group, int] = {}
        for group in self._members:
            self._release(group)

    def __len__(self) -> int:
        """Groups that no place has taken up and that have something due."""
        return len(self._homeless)

    def open(self, label: Label, kind: Kind) -> None:
        """A place is there to work."""
        self._kinds[label] = kind
        self._queues[label] = _Queues(self._rounds, self._sorted_due)

    def close(self, label: Label) -> None:
        """A place is gone; what it had taken up and not finished is for others."""
        del self._kinds[label]
        for group in self._queues.pop(label).groups:
            self._release(group)

    def assign(self, group: Group, label: Label, kind: Kind | None) -> None:
        """A group was begun earlier, at this place, by a device of this kind.

        It goes on there. Where the place is not open, it goes on at one of the same kind, and if there is
        none it starts over elsewhere.
        """
        if kind is not None:
            self._measured_by[group] = kind
        if label in self._queues and self._homeless.pop(group, None) is not None:
            self._queues[label].add(group)

    def take(self, label: Label) -> tuple[Key, int] | None:
        """The next case for a free place, and which round of it; None where nothing is left for it."""
        queues = self._queues[label]
        own = queues.first(self._still_due)
        if own != 0:
            group = self._adoptable(label, before=own)
            if group is not None:
                self._adopt(group, label)
                own = queues.first(self._still_due)
        return None if own is None else (queues.pop(own), own)

    def _adoptable(self, label: Label, before: int | None) -> Group | None:
        """A group without a place that has rounds due before all that a place has itself."""
        kind, kinds = self._kinds[label], set(self._kinds.values())
        for group, lowest in self._homeless.items():
            measured_by = self._measured_by.get(group, kind)
            if (before is None or lowest < before) and (
                measured_by == kind or measured_by not in kinds
            ):
                return group
        return None

    def _adopt(self, group: Group, label: Label) -> None:
        del self._homeless[group]
        self._measured_by[group] = self._kinds[label]
        self._queues[label].add(group)

    def _release(self, group: Group) -> None:
        """Note that a group has no place, if there is still something to do for it."""
        for number in self._rounds:
            if any(self._still_due(key, number) for key in self._members[group]):
                self._homeless[group] = number
                return

    def _sorted_due(self, group: Group, round_number: int) -> list[tuple[bytes, Key]]:
        """What is due of a group in a round, in the order of that round."""
        due = [key for key in self._members[group] if self._still_due(key, round_number)]
        return sorted((self._place_in_order(key, round_number), key) for key in due)

    def _still_due(self, key: Key, round_number: int) -> bool:
        return self._is_due(key, round_number, self._measured_by.get(self._groups[key]))

    def _place_in_order(self, key: Key, round_number: int) -> bytes:
        """Where a case comes in the shuffled order of a round; every round has an order of its own."""
        text = f"{self._seed}/{round_number}/{key}"
        return hashlib.blake2b(text.encode(), digest_size=8).digest()


class _Queues:
    """What the groups of one place have left to do, round by round; a round is looked at when it comes."""

    def __init__(
        self, rounds: range, sorted_due: Callable[[Group, int], list[tuple[bytes, Key]]]
    ) -> None:
        self.groups: list[Group] = []
        self._sorted_due = sorted_due
        self._heaps: list[list[tuple[bytes, Key]] | None] = [None for _ in rounds]

    def add(self, group: Group) -> None:
        """Take up a group, in the rounds that are being worked on already."""
        self.groups.append(group)
        for number, heap in enumerate(self._heaps):
            if heap is not None:
                for entry in self._sorted_due(group, number):
                    heapq.heappush(heap, entry)

    def first(self, is_due: Callable[[Key, int], bool]) -> int | None:
        """The first round with something left; what has become needless meanwhile is dropped."""
        for number in range(len(self._heaps)):
            heap = self._heap(number)
            while heap and not is_due(heap[0][1], number):
                heapq.heappop(heap)
            if heap:
                return number
        return None

    def pop(self, round_number: int) -> Key:
        """Take the first case of a round that has one."""
        return heapq.heappop(self._heap(round_number))[1]

    def _heap(self, round_number: int) -> list[tuple[bytes, Key]]:
        heap = self._heaps[round_number]
        if heap is None:
            heap = [
                entry for group in self.groups for entry in self._sorted_due(group, round_number)
            ]
            heapq.heapify(heap)
            self._heaps[round_number] = heap
        return heap
