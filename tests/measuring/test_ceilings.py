"""Measured ceilings: rates and bandwidth from a simulated clock, and a real run on tiny sizes."""

import math

import pytest
import torch

from aabench.cases.ceilings import RATES
from aabench.measuring.calibration import ceilings as measuring
from aabench.measuring.calibration.ceilings import Sizes, measure_ceilings
from aabench.measuring.clock import ClockError

CPU = torch.device("cpu")
TINY = Sizes(copy_bytes=1 << 16, matrix_side=16)


class SteppingClock:
    """Every reading is so many nanoseconds after the one before."""

    def __init__(self, step):
        self.now, self.step = 0, step

    def __call__(self):
        self.now += self.step
        return self.now


def test_ceilings_are_work_per_second_of_the_best_sample():
    # A sample lies between two readings of the clock: a millisecond.
    found = measure_ceilings(
        CPU, seconds=0.01, source="test", sizes=TINY, clock=SteppingClock(1_000_000)
    )
    assert found.bandwidth_bytes_per_s == pytest.approx(2 * 2**16 / 1e-3)
    assert found.rates_flops_per_s["fp32"] == pytest.approx(2 * 16**3 / 1e-3)
    assert found.launch_s == pytest.approx(1e-3 / measuring.TINY_OPERATIONS)
    assert found.is_measured and found.source == "test"


def test_a_call_that_takes_all_of_the_time_is_not_repeated():
    calls = []
    best = measuring._best_seconds(
        lambda: calls.append(1), lambda: None, 0.5, SteppingClock(1_000_000_000)
    )
    assert (best, len(calls)) == (pytest.approx(1), 1)


def test_a_clock_that_stands_still_is_an_error():
    with pytest.raises(ClockError):
        measure_ceilings(CPU, seconds=0.01, source="test", sizes=TINY, clock=lambda: 7)


def test_a_real_measurement_has_every_format_of_the_cpu_and_says_what_it_does():
    said = []
    precision = torch.backends.cuda.matmul.fp32_precision
    found = measure_ceilings(CPU, seconds=0.005, source="test", sizes=TINY, started=said.append)
    figures = [found.bandwidth_bytes_per_s, found.launch_s, *found.rates_flops_per_s.values()]
    assert all(math.isfinite(figure) and figure > 0 for figure in figures)
    assert set(found.rates_flops_per_s) == set(RATES) - {"tf32"}
    assert [word.split(",")[0] for word in said] == [
        "copy bandwidth",
        *["matrix rate"] * 3,
        "launch time",
    ]
    assert torch.backends.cuda.matmul.fp32_precision == precision
