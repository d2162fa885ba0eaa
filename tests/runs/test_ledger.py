"""The ledger: what is due, and what is not measured twice."""

import pytest

from aabench.runs.folder import Record
from aabench.runs.ledger import Ledger
from aabench.runs.task import Outcome


def ledger(*records):
    made = Ledger()
    for key, number, attempt, status in records:
        made.enter(Record(key, number, attempt, Outcome(status), (number, 1)))
    return made


def test_unknown_cases_are_due():
    assert ledger().is_due("a", 0, retry=False)


def test_done_rounds_are_not_due():
    book = ledger(("a", 0, 0, "ok"))
    assert not book.is_due("a", 0, retry=False)
    assert book.is_due("a", 1, retry=False)
    assert book.earlier_samples("a", 1) == [(0, 1)]


@pytest.mark.parametrize("status", ["oom", "unsupported", "wrong", "skipped", "crashed", "timeout"])
def test_a_failed_case_is_not_tried_again(status):
    book = ledger(("a", 0, 0, status))
    assert not any(book.is_due("a", number, retry=False) for number in range(3))


@pytest.mark.parametrize(("status", "due"), [("crashed", True), ("timeout", True), ("oom", False)])
def test_retry_takes_up_crashes_and_timeouts_where_they_happened(status, due):
    book = ledger(("a", 0, 0, "ok"), ("a", 1, 0, status))
    assert not book.is_due("a", 0, retry=True)
    assert book.is_due("a", 1, retry=True) is due
    assert book.attempt("a", 1) == 1


def test_a_retry_that_worked_clears_the_failure():
    book = ledger(("a", 0, 0, "crashed"), ("a", 0, 1, "ok"))
    assert not book.is_due("a", 0, retry=True)
    assert book.is_due("a", 1, retry=False)
