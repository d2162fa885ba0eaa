"""Dispatch: tasks go to whoever is free, and a place that is lost costs the task that it had."""

from concurrent.futures import Future

import pytest

from aabench.cases.case import Case, Layer
from aabench.errors import RunError
from aabench.runs import dispatch as dispatch_module
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.dispatch import dispatch
from aabench.runs.place import Place
from aabench.runs.task import Outcome, Task


def task(batch):
    layer = Layer(8, 8, 3, 1, 1, 2, 4, 4, "relative", 4, 4)
    return Task(Case(layer, batch), 0, "cpu", 0.01, 2, 0)


class Queue:
    """Tasks that go anywhere; a lost one comes back."""

    def __init__(self, tasks):
        self.waiting, self.handed, self.said = list(tasks), {}, []

    def take(self, place):
        if not self.waiting:
            return None
        self.handed[place.label] = self.waiting.pop(0)
        return self.handed[place.label]

    def lose(self, place, reason):
        self.said.append(f"{place.label} lost: {reason}")
        self.waiting.append(self.handed.pop(place.label))

    def regain(self, place):
        self.said.append(f"{place.label} back")


class MadeUpStation:
    """Answers at once; breaks down at the tasks it is told to, and comes back as often as told."""

    def __init__(self, label, breaks_at=(), lives=0):
        self.place = Place(label, DeviceFacts("cpu", "a CPU"), {})
        self.breaks_at, self.lives, self.ran = breaks_at, lives, []

    def submit(self, task):
        future = Future()
        if task.case.batch in self.breaks_at:
            future.set_exception(RunError("pulled the plug"))
        else:
            self.ran.append(task.case.batch)
            future.set_result(Outcome("ok", device=self.place.label))
        return future

    def revive(self):
        self.lives -= 1
        if self.lives < 0:
            return None
        self.breaks_at = ()
        future = Future()
        future.set_result(None)
        return future


def worked_off(stations, queue):
    return {
        task.case.batch: outcome.status
        for task, outcome in dispatch(stations, queue, lambda _: None)
    }


def test_all_places_are_kept_busy():
    queue = Queue(task(n) for n in range(1, 9))
    stations = [MadeUpStation("a"), MadeUpStation("b")]
    assert worked_off(stations, queue) == dict.fromkeys(range(1, 9), "ok")
    assert all(station.ran for station in stations)


def test_a_lost_place_costs_the_others_one_task_more():
    queue = Queue(task(n) for n in range(1, 9))
    broken, sound = MadeUpStation("a", breaks_at=range(3, 9)), MadeUpStation("b")
    assert worked_off([broken, sound], queue) == dict.fromkeys(range(1, 9), "ok")
    assert queue.said == ["a lost: pulled the plug"]
    assert sorted(broken.ran + sound.ran) == list(range(1, 9))


def test_a_place_that_comes_back_goes_on():
    queue = Queue(task(n) for n in range(1, 5))
    station = MadeUpStation("a", breaks_at=(2,), lives=1)
    assert worked_off([station], queue) == dict.fromkeys(range(1, 5), "ok")
    assert queue.said == ["a lost: pulled the plug", "a back"]


def test_what_takes_place_after_place_down_is_a_crash():
    queue = Queue(task(n) for n in range(1, 7))
    stations = [MadeUpStation(label, breaks_at=(4,)) for label in "abc"]
    found = worked_off(stations, Queue_without_return(queue))
    assert found == {**dict.fromkeys([1, 2, 3, 5, 6], "ok"), 4: "crashed"}
    assert sum(bool(line) for line in queue.said) == 2


class Queue_without_return:  # noqa: N801
    """A queue whose task is not handed out again once it has an outcome, as the ledger sees to."""

    def __init__(self, queue):
        self._queue = queue
        self._losses = 0

    def take(self, place):
        return self._queue.take(place)

    def lose(self, place, reason):
        self._queue.lose(place, reason)
        self._losses += 1
        if self._losses == 2:
            self._queue.waiting.pop()

    def regain(self, place):
        self._queue.regain(place)


def test_all_places_lost_is_said_with_how_to_go_on():
    queue = Queue(task(n) for n in range(1, 4))
    stations = [MadeUpStation(label, breaks_at=(1, 2, 3)) for label in "ab"]
    with pytest.raises(RunError, match="every place is lost: pulled the plug.*same command"):
        worked_off(stations, queue)


def test_a_place_that_may_come_back_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(dispatch_module, "REVIVAL_SECONDS", 0.05)
    station = MadeUpStation("a", breaks_at=(1,))
    station.revive = Future  # never answers
    with pytest.raises(RunError, match="every place is lost"):
        worked_off([station], Queue([task(1)]))


def test_errors_of_our_own_are_not_taken_for_lost_places():
    station = MadeUpStation("a")

    def broken(task):
        future = Future()
        future.set_exception(TypeError("a mistake"))
        return future

    station.submit = broken
    with pytest.raises(TypeError, match="a mistake"):
        worked_off([station], Queue([task(1)]))
