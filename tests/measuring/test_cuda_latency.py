"""CUDA latency on a simulated device: order of events, batches, passes, labels."""

import gc
from itertools import pairwise

import pytest
from simulated_time import EnqueuedStep, SimulatedClock, SimulatedDevice

from aabench.measuring.cuda_latency import calls_per_batch, is_launch_bound, measure_cuda_latency


class Measured:
    """A measurement of a simulated step, with everything that the device was asked."""

    def __init__(self, device_seconds, host_seconds=20e-6, refusal=None, **settings):
        self.clock = SimulatedClock()
        self.device = SimulatedDevice(self.clock, refusal)
        self.step = EnqueuedStep(self.clock, self.device, host_seconds, device_seconds)
        self.begin = self.clock.now
        self.result = measure_cuda_latency(
            self.step, self.device, clock=self.clock, **{"seconds": 3.0, **settings}
        )
        self.seconds = (self.clock.now - self.begin) / 1e9

    def batches(self):
        """The log between two synchronisations, each as a list of words."""
        words = " ".join(self.device.log).split("synchronize")
        return [batch.split() for batch in words if batch.split()]


def test_device_time_is_what_is_reported():
    measured = Measured(2e-3)
    assert measured.result.warm.summary.median == pytest.approx(2e-3, rel=0.02)
    assert measured.result.warm.calls_per_sample == 1
    assert not measured.result.launch_bound


def test_a_batch_is_about_100_ms_with_one_synchronisation_at_its_end():
    measured = Measured(2e-3, cold=False, graph=False)
    largest = max(measured.batches(), key=len)
    assert largest.count("run") == 50
    assert largest == ["mark", "run", "mark", "reset"] * 50


def test_gradients_are_dropped_outside_every_pair_of_marks():
    measured = Measured(2e-3)
    assert measured.step.resets >= measured.step.runs
    inside = False
    for word in measured.device.log:
        if word == "mark":
            inside = not inside
        assert not (inside and word in ("reset", "flush", "synchronize"))


@pytest.mark.parametrize(
    ("step_s", "seconds", "calls"),
    [
        (2e-3, 3.0, 50),
        (1e-6, 3.0, 10_000),
        (0.05, 3.0, 10),
        (0.5, 3.0, 6),  # ten would not fit the time
        (2.0, 3.0, 3),
        (60.0, 3.0, 3),
    ],
)
def test_calls_per_batch(step_s, seconds, calls):
    assert calls_per_batch(step_s, seconds) == calls


def test_first_call_is_apart_and_waits_for_the_device():
    measured = Measured(lambda run: 4.0 if run == 0 else 2e-3)
    assert measured.result.warm.first_call_s == pytest.approx(4.0, rel=1e-3)
    assert max(measured.result.warm.samples_s) < 0.01


def test_a_first_call_that_has_happened_is_taken_over():
    measured = Measured(2e-3, first_call_s=9.0)
    assert measured.result.warm.first_call_s == 9.0


def test_a_step_that_keeps_changing_is_warmed_up_for_two_seconds_at_most():
    measured = Measured(lambda run: 0.03 if run % 2 else 0.06, cold=False, graph=False)
    assert not measured.result.warm.warmup_settled
    assert 2.0 <= 0.045 * measured.result.warm.warmup_calls < 2.6


def test_steady_steps_stop_when_precise_and_noisy_ones_go_on():
    assert Measured(2e-3).result.warm.stopped_by == "precise"
    noisy = Measured(lambda run: 2e-3 * (1 + (run * 7919 % 101) / 50), cold=False, graph=False)
    assert noisy.result.warm.stopped_by == "flat"
    assert noisy.result.warm.summary.n > 64
    growing = Measured(lambda run: 2e-3 * 1.004**run, cold=False, graph=False)
    assert growing.result.warm.stopped_by == "time"


def test_cold_samples_flush_before_each_step_and_allocate_once():
    measured = Measured(2e-3, graph=False)
    log = measured.device.log
    assert log.count("flusher made") == 1
    cold = next(batch for batch in measured.batches() if "flush" in batch)
    cold = cold[cold.index("flush") :]
    assert cold == ["flush", "mark", "run", "mark", "reset"] * 50
    assert len(measured.result.cold_samples_s) == measured.result.cold.n == 50
    assert measured.result.cold.median == pytest.approx(2e-3, rel=0.02)


def test_passes_that_are_not_asked_for_do_not_happen():
    measured = Measured(2e-3, cold=False, graph=False)
    result = measured.result
    assert (result.cold, result.graph, result.graph_refusal) == (None, None, None)
    assert (result.cold_samples_s, result.graph_samples_s) == ((), ())
    assert not {"flush", "captured", "replay"} & set(measured.device.log)


def test_graph_replays_are_timed_after_the_first_and_the_graph_is_released():
    measured = Measured(1e-4, host_seconds=1e-3)
    assert measured.result.graph.median == pytest.approx(1e-4, rel=0.05)
    assert measured.device.log.count("replay") == 1 + measured.result.graph.n
    assert measured.device.log.index("captured") < measured.device.log.index("released")
    assert measured.result.graph_refusal is None


def test_a_refused_capture_is_a_reason_and_not_an_error():
    refusal = RuntimeError("operation not permitted when stream is capturing\nlong story")
    result = Measured(2e-3, refusal=refusal).result
    assert result.graph is None and result.graph_samples_s == ()
    assert result.graph_refusal == "RuntimeError: operation not permitted when stream is capturing"
    assert result.warm.summary.n >= 10


def test_a_capture_refused_without_a_word_is_a_reason_too():
    assert Measured(2e-3, refusal=RuntimeError()).result.graph_refusal == "RuntimeError"


def test_a_device_broken_by_the_capture_is_not_hidden():
    class Broken(SimulatedDevice):
        def synchronize(self):
            if "captured" in self.log:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            super().synchronize()

    clock = SimulatedClock()
    device = Broken(clock)
    step = EnqueuedStep(clock, device, 20e-6, 2e-3)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        measure_cuda_latency(step, device, seconds=1.0, clock=clock)


def test_other_errors_of_the_step_are_not_swallowed():
    clock = SimulatedClock()
    device = SimulatedDevice(clock, refusal=ValueError("a bug, not a refusal"))
    with pytest.raises(ValueError, match="a bug"):
        measure_cuda_latency(EnqueuedStep(clock, device, 1e-5, 1e-3), device, clock=clock)


def test_host_time_is_taken_with_an_empty_queue():
    measured = Measured(2e-3, host_seconds=3e-4, cold=False, graph=False)
    assert measured.result.host_enqueue_s == pytest.approx(3e-4)
    alone = [batch for batch in measured.batches() if batch == ["run", "reset"]]
    assert len(alone) >= 20  # each host sample has a synchronisation on both sides


def test_a_step_that_waits_for_the_host_is_launch_bound():
    result = Measured(1e-4, host_seconds=1e-3).result
    assert result.warm.summary.median == pytest.approx(1e-3, rel=0.05)
    assert result.launch_bound


@pytest.mark.parametrize(
    ("latency", "host", "graph", "label"),
    [
        (1.0, 0.95, None, True),
        (1.0, 0.5, None, False),
        (1.0, 0.5, 0.2, False),
        (1.0, 0.95, 0.3, True),
        (1.0, 0.95, 0.99, False),  # the queue was full: the host waited for the device
        (1.0, None, None, False),
    ],
)
def test_launch_bound_rule(latency, host, graph, label):
    assert is_launch_bound(latency, host, graph) is label


def test_long_steps_are_run_few_times():
    measured = Measured(2.0, seconds=1.5)
    assert measured.result.warm.summary.n == 3
    assert measured.step.runs <= 14
    assert len(measured.result.cold_samples_s) == 3


def test_the_collector_is_off_meanwhile():
    assert not Measured(2e-3).step.collector_was_on
    assert gc.isenabled()


def test_samples_are_in_the_order_taken():
    measured = Measured(lambda run: 2e-3 + run * 1e-5, cold=False, graph=False)
    assert all(earlier < later for earlier, later in pairwise(measured.result.warm.samples_s))
