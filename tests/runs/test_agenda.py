"""The agenda: every round once, groups that stay where they began, and what becomes of them elsewhere."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.runs.agenda import Agenda


class Book:
    """Which rounds were measured, where; rounds of another kind of place do not count."""

    def __init__(self):
        self.done = {}

    def is_due(self, key, round_number, kind):
        return not any(
            number == round_number and (kind is None or kind == by)
            for _, number, by in self.done.get(key, ())
        )

    def enter(self, key, round_number, label, kind):
        entries = self.done.setdefault(key, [])
        if any(by != kind for *_, by in entries):
            entries.clear()
        entries.append((label, round_number, kind))


def agenda(book, groups, rounds=2, seed=0):
    return Agenda(groups, rounds, seed, book.is_due)


def worked_off(made, book, kinds, *, order=None):
    """Let the places take turns until none finds anything; all that was handed out, in order."""
    handed = []
    turns = order or random.Random(1)
    while True:
        idle = 0
        for label in turns.sample(sorted(kinds), len(kinds)):
            found = made.take(label)
            if found is None:
                idle += 1
                continue
            handed.append((label, *found))
            book.enter(*found, label, kinds[label])
        if idle == len(kinds):
            return handed


GROUPS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.sampled_from("ABCDE"))


@given(GROUPS, st.integers(1, 3), st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_every_round_of_every_case_once_and_a_group_at_one_place(groups, rounds, places):
    book = Book()
    made = agenda(book, groups, rounds)
    kinds = {f"cuda:{number}": "T4" for number in range(places)}
    for label, kind in kinds.items():
        made.open(label, kind)
    handed = worked_off(made, book, kinds)
    assert sorted((key, number) for _, key, number in handed) == sorted(
        (key, number) for key in groups for number in range(rounds)
    )
    homes = {}
    for label, key, _ in handed:
        assert homes.setdefault(groups[key], label) == label
    for label in kinds:
        own = [number for where, _, number in handed if where == label]
        assert own == sorted(own) or len(set(homes.values())) > 1


@given(GROUPS, st.integers(0, 12))
@settings(deadline=None, max_examples=60)
def test_a_lost_place_costs_nothing_but_what_it_was_doing(groups, stop):
    book = Book()
    made = agenda(book, groups)
    made.open("a", "T4")
    made.open("b", "T4")
    for _ in range(stop):
        if (found := made.take("b")) is not None:
            book.enter(*found, "b", "T4")
    in_flight = made.take("b")
    before = {key: list(entries) for key, entries in book.done.items()}
    made.close("b")
    handed = worked_off(made, book, {"a": "T4"})
    again = [(key, number) for _, key, number in handed]
    assert len(set(again)) == len(again)
    assert not {(key, number) for key, entries in before.items() for _, number, _ in entries} & set(
        again
    )
    assert in_flight is None or in_flight in again
    assert all(not book.is_due(key, number, None) for key in groups for number in range(2))


def test_what_another_kind_of_card_began_starts_over():
    book = Book()
    made = agenda(book, {"x": "A", "y": "A", "z": "B"})
    made.open("old", "P100")
    made.open("new", "H100")
    first = made.take("old")
    book.enter(*first, "old", "P100")
    second = made.take("old")  # the other case of the group, in flight when the place is lost
    made.close("old")
    handed = worked_off(made, book, {"new": "H100"})
    of_group = [(key, number) for _, key, number in handed if key in "xy"]
    if first[0] in "xy":
        assert sorted(of_group) == [("x", 0), ("x", 1), ("y", 0), ("y", 1)]
    assert second is not None
    assert all(by == "H100" for key in "xy" for *_, by in book.done[key])


def test_a_group_waits_for_its_kind_of_card_while_there_is_one():
    book = Book()
    made = agenda(book, {"x": "A"})
    made.assign("A", "gone", "T4")
    made.open("other", "H100")
    made.open("same", "T4")
    assert made.take("other") is None
    assert made.take("same") == ("x", 0)


def test_after_a_resume_a_group_goes_on_where_it_was():
    book = Book()
    groups = {f"{group}{number}": group for group in "ABCDEF" for number in range(3)}
    for key in groups:
        book.enter(key, 0, "b" if key < "D" else "a", "T4")
    made = agenda(book, groups)
    made.open("a", "T4")
    made.open("b", "T4")
    for key, group in groups.items():
        label, _, kind = book.done[key][0]
        made.assign(group, label, kind)
    handed = worked_off(made, book, {"a": "T4", "b": "T4"})
    assert {(label, groups[key]) for label, key, _ in handed} == {
        *(("b", group) for group in "ABC"),
        *(("a", group) for group in "DEF"),
    }


def test_a_place_that_comes_back_works_again():
    book = Book()
    made = agenda(book, {"x": "A", "y": "B"}, rounds=1)
    made.open("a", "T4")
    made.take("a")
    made.close("a")
    made.open("a", "T4")
    assert len(worked_off(made, book, {"a": "T4"})) == 2


def test_a_quicker_place_takes_more_groups():
    book = Book()
    groups = {f"{group}{number}": str(group) for group in range(12) for number in range(4)}
    made = agenda(book, groups, rounds=1)
    made.open("quick", "T4")
    made.open("slow", "T4")
    taken = {"quick": 0, "slow": 0}
    for turn in range(200):
        label = "slow" if turn % 4 == 3 else "quick"
        found = made.take(label)
        if found is not None:
            taken[label] += 1
            book.enter(*found, label, "T4")
    assert taken["quick"] + taken["slow"] == len(groups)
    assert taken["quick"] > 2 * taken["slow"] > 0


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_order_depends_on_the_seed_and_the_round_alone(rounds):
    groups = {f"k{number}": "A" for number in range(40)}

    def order(seed):
        book = Book()
        made = agenda(book, groups, rounds, seed)
        made.open("cpu", "a CPU")
        return [key for _, key, _ in worked_off(made, book, {"cpu": "a CPU"})]

    assert order(0) == order(0) != order(1)
    if rounds > 1:
        assert order(0)[:40] != order(0)[40:80]
