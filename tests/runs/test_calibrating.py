"""Calibrating: rounds of cases within the time given, what failed left out, Ctrl-C kept apart."""

from itertools import count

import pytest
import torch

from aabench.cases.case import Case
from aabench.measuring.calibration.ceilings import Sizes
from aabench.runs import calibrating
from aabench.runs.calibrating import CalibrationPlan, calibrate, calibration_cases
from aabench.runs.task import Outcome

GREETING = {
    "device": {"device": "cpu", "name": "Test CPU", "capability": None},
    "environment": {"torch_threads": 2, "torch": str(torch.__version__)},
}


class Watching:
    def __init__(self):
        self.said, self.cases, self.total, self.was_interrupted = [], [], 0, False

    def ceiling(self, text):
        self.said.append(text)

    def planned(self, cases):
        self.total = cases

    def started(self, case):
        self.cases.append(case)

    def finished(self, case, outcome):
        pass

    def interrupted(self):
        self.was_interrupted = True


class SimulatedExecutor:
    """Answers every task at once; ``after`` so many it does what ``then`` does."""

    after, then = 10**6, staticmethod(lambda: None)
    closed = 0

    def __init__(self, settings):
        assert settings.device == "cpu"

    def greeting(self):
        return GREETING

    def run(self, tasks, started):
        for number in count():
            task = tasks.take(None)
            if task is None:
                return
            started(task)
            if number >= self.after:
                self.then()
            if task.case.attention == "factored":
                yield task, Outcome("timeout", "too slow")
            else:
                figures = {"peak_allocated_bytes": 2000, "step_peak_bytes": 1000}
                yield task, Outcome("ok", figures=figures, samples_s=[3.0, 1.0, 2.0])

    def close(self):
        SimulatedExecutor.closed += 1


@pytest.fixture
def executor(monkeypatch):
    monkeypatch.setattr(calibrating, "OneWorker", SimulatedExecutor)
    monkeypatch.setattr(SimulatedExecutor, "after", 10**6)
    return SimulatedExecutor


PLAN = CalibrationPlan("cpu", 0.02, largest_side=16, sizes=Sizes(1 << 12, 8))


def test_every_group_of_cases_comes_once_a_round():
    cases = calibration_cases("cpu", 32)
    groups = [(case.attention, case.mode, case.precision) for case in cases]
    size = len(set(groups))
    assert len(groups) % size == 0 and len(groups) // size >= 5
    for start in range(0, len(groups), size):
        assert groups[start : start + size] == groups[:size]
    assert len({case.key for case in cases}) == len(cases)
    assert max(case.layer.height for case in calibration_cases("cpu", 16)) == 16


def test_what_was_measured_is_kept_and_what_failed_is_not(executor):
    watching = Watching()
    found = calibrate(PLAN, watching, clock=lambda: 0.0)
    assert (found.device_type, found.device_name, found.threads) == ("cpu", "Test CPU", 2)
    assert len(watching.cases) == watching.total
    assert len(found.cases) == sum(case.attention != "factored" for case in watching.cases)
    assert found.cases[0].latency_s == 2.0 and found.cases[0].step_peak_bytes == 1000
    assert isinstance(found.cases[0].case, Case)
    assert found.ceilings.source.startswith("measured on Test CPU, 20")
    assert len(watching.said) == 5


def test_the_time_ends_it_after_one_case_at_least(executor):
    times = iter([0.0, *[1.0] * 1000])
    found = calibrate(PLAN, Watching(), clock=lambda: next(times))
    assert len(found.cases) == 1


def test_an_interrupt_keeps_what_there_is_and_ends_the_worker(executor, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(executor, "then", staticmethod(interrupt))
    monkeypatch.setattr(executor, "after", 3)
    watching, before = Watching(), executor.closed
    found = calibrate(PLAN, watching, clock=lambda: 0.0)
    assert watching.was_interrupted and len(found.cases) == 3
    assert executor.closed == before + 1
    monkeypatch.setattr(executor, "after", 0)
    with pytest.raises(KeyboardInterrupt):
        calibrate(PLAN, Watching(), clock=lambda: 0.0)
    assert executor.closed == before + 2
