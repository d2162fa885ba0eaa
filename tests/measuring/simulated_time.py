"""Simulated time for tests: a clock that moves when told to, steps that take it, a device beside it."""

import gc
from contextlib import contextmanager

SECOND = 1_000_000_000


class SimulatedClock:
    """Nanoseconds that pass only when something takes them."""

    def __init__(self):
        self.now = 5 * SECOND

    def __call__(self):
        return self.now

    def pass_seconds(self, seconds):
        self.now += round(seconds * SECOND)


class SimulatedStep:
    """A step on the host. ``seconds(i)`` is what run i takes; resets take time of their own."""

    def __init__(self, clock, seconds, reset_seconds=0.0):
        self.clock = clock
        self.seconds = seconds if callable(seconds) else lambda _: seconds
        self.reset_seconds = reset_seconds
        self.runs = self.resets = 0
        self.collector_was_on = False

    def run(self):
        self.collector_was_on |= gc.isenabled()
        self.clock.pass_seconds(self.seconds(self.runs))
        self.runs += 1

    def reset(self):
        self.resets += 1
        self.clock.pass_seconds(self.reset_seconds)


class SimulatedDevice:
    """A device that works through what the host enqueues, in order, beside the host's clock."""

    def __init__(self, clock, refusal=None):
        self.clock = clock
        self.refusal = refusal
        self.free_at = clock.now
        self.log = []
        self.is_active = False

    @contextmanager
    def activated(self):
        self.is_active = True
        yield
        self.is_active = False

    def enqueue(self, seconds):
        self.free_at = max(self.free_at, self.clock.now) + round(seconds * SECOND)

    def synchronize(self):
        self.log.append("synchronize")
        self.clock.now = max(self.clock.now, self.free_at)

    def mark(self):
        self.log.append("mark")
        return max(self.free_at, self.clock.now)

    def seconds_between(self, earlier, later):
        assert later <= self.clock.now, "read before the device got there"
        return (later - earlier) / SECOND

    def cache_flusher(self):
        self.log.append("flusher made")

        def flush():
            self.log.append("flush")
            self.enqueue(20e-6)

        return flush

    @contextmanager
    def captured(self, step):
        if self.refusal is not None:
            raise self.refusal
        self.log.append("captured")

        def replay():
            self.log.append("replay")
            self.clock.pass_seconds(2e-6)
            self.enqueue(step.device_seconds(step.runs))

        yield replay
        self.log.append("released")


class EnqueuedStep:
    """A step of several kernels on a simulated device."""

    KERNELS = 10

    def __init__(self, clock, device, host_seconds, device_seconds):
        self.clock, self.device = clock, device
        self.host_seconds = host_seconds
        self.device_seconds = (
            device_seconds if callable(device_seconds) else lambda _: device_seconds
        )
        self.runs = self.resets = 0
        self.collector_was_on = False

    def run(self):
        assert self.device.is_active
        self.collector_was_on |= gc.isenabled()
        self.device.log.append("run")
        for _ in range(self.KERNELS):
            self.clock.pass_seconds(self.host_seconds / self.KERNELS)
            self.device.enqueue(self.device_seconds(self.runs) / self.KERNELS)
        self.runs += 1

    def reset(self):
        self.device.log.append("reset")
        self.resets += 1
