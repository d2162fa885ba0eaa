"""The CUDA memory recipe on a simulated caching allocator: order, arithmetic, explanations."""

import gc
from dataclasses import dataclass

import pytest
import torch

from aabench.measuring.cuda_allocator import AllocatorFigures
from aabench.measuring.cuda_memory import measure_cuda_memory

MiB = 2**20
CARD = 1000 * MiB
CONTEXT = 400 * MiB


@dataclass
class SimulatedAllocator:
    """A caching allocator that counts; ``log`` says what it was asked, in order."""

    requested: int = 10 * MiB
    workspace: int = 0
    reserved: int = 0
    retries: int = 2
    ooms: int = 1
    can_release: bool = True
    counts_requests: bool = True

    def __post_init__(self):
        self.log = []
        self.peak = self.peak_reserved = 0
        self.others = 50 * MiB

    @property
    def allocated(self):
        return self.requested + self.requested % 512 + self.workspace

    def allocate(self, size):
        self.requested += size
        self.reserved = max(self.reserved, self.allocated)
        self.peak = max(self.peak, self.allocated)
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def owns(self, tensor):
        return tensor.dtype == torch.float32

    def synchronize(self):
        self.log.append("synchronize")

    def release_cache(self):
        self.log.append("release cache")
        self.reserved = self.allocated

    def release_workspaces(self):
        self.log.append("release workspaces")
        if self.can_release:
            self.workspace = 0
        return self.can_release

    def reset_peaks(self):
        self.log.append("reset peaks")
        self.peak, self.peak_reserved = self.allocated, self.reserved

    def figures(self):
        self.log.append("figures")
        return AllocatorFigures(
            allocated_bytes=self.allocated,
            requested_bytes=self.requested if self.counts_requests else None,
            reserved_bytes=self.reserved,
            peak_allocated_bytes=self.peak,
            peak_reserved_bytes=self.peak_reserved,
            retries=self.retries,
            ooms=self.ooms,
            free_bytes=CARD - CONTEXT - self.others - self.reserved,
            total_bytes=CARD,
        )


class SimulatedWork:
    """Makes 4 MiB of gradients beside 20 MiB that it drops; its first run makes the workspace."""

    def __init__(self, allocator):
        self.allocator, self.gradients, self.runs = allocator, 0, 0

    def run(self):
        self.allocator.log.append("run")
        self.runs += 1
        self.allocator.workspace = 8 * MiB
        self.allocator.allocate(20 * MiB)
        self.allocator.allocate(4 * MiB)
        self.allocator.allocate(-20 * MiB)
        self.gradients += 4 * MiB

    def reset(self):
        self.allocator.log.append("reset")
        self.allocator.allocate(-self.gradients)
        self.gradients = 0


def base():
    return [torch.empty(10 * MiB // 4), torch.empty(77, dtype=torch.int64)]


@pytest.fixture
def allocator():
    return SimulatedAllocator()


def test_the_recipe_is_followed_to_the_letter(allocator):
    measure_cuda_memory(SimulatedWork(allocator), base, allocator)
    assert allocator.log == [
        *("run", "reset"),  # one full warm-up step, its outputs and gradients dropped
        *("reset", "synchronize", "release cache", "reset peaks"),
        "figures",  # the base
        *("run", "synchronize"),  # exactly one step
        "figures",  # the peaks
        *("reset", "figures", "release workspaces", "figures"),
    ]


def test_the_figures(allocator):
    memory = measure_cuda_memory(SimulatedWork(allocator), base, allocator)
    assert memory.base_bytes == (10 + 8) * MiB  # the workspace was there before the step
    assert memory.step_peak_bytes == 24 * MiB
    assert memory.peak_allocated_bytes == 42 * MiB
    assert memory.retained_bytes == 4 * MiB
    assert memory.peak_reserved_bytes == 42 * MiB
    assert memory.outside_torch_bytes == CONTEXT + 50 * MiB
    assert memory.workspace_bytes == 8 * MiB
    assert memory.unaccounted_bytes == 0
    assert (memory.allocator_retries, memory.ooms) == (0, 0)
    assert memory.is_clean


def test_cycles_are_collected_before_the_base_is_read(allocator):
    class Cycle:
        def __init__(self):
            self.me = self

        def __del__(self):
            allocator.allocate(-3 * MiB)

    allocator.allocate(3 * MiB)
    Cycle()
    memory = measure_cuda_memory(SimulatedWork(allocator), base, allocator)
    assert memory.base_bytes == (10 + 8) * MiB


def test_the_collector_is_off_during_the_step(allocator):
    class Looking(SimulatedWork):
        def run(self):
            super().run()
            self.collector_was_on = gc.isenabled()

    work = Looking(allocator)
    measure_cuda_memory(work, base, allocator)
    assert not work.collector_was_on and gc.isenabled()


def test_what_an_earlier_case_left_is_found(allocator):
    allocator.requested += 3 * MiB
    memory = measure_cuda_memory(SimulatedWork(allocator), base, allocator)
    assert memory.unaccounted_bytes == 3 * MiB


def test_a_torch_without_the_private_function_knows_no_workspace():
    allocator = SimulatedAllocator(can_release=False)
    memory = measure_cuda_memory(SimulatedWork(allocator), base, allocator)
    assert memory.workspace_bytes is None
    assert memory.unaccounted_bytes is None
    assert memory.peak_allocated_bytes == 42 * MiB


def test_an_allocator_that_does_not_count_requests_explains_less():
    allocator = SimulatedAllocator(counts_requests=False)
    memory = measure_cuda_memory(SimulatedWork(allocator), base, allocator)
    assert memory.workspace_bytes == 8 * MiB
    assert memory.unaccounted_bytes is None


@pytest.mark.parametrize("counter", ["retries", "ooms"])
def test_a_step_that_made_the_allocator_retry_is_not_clean(allocator, counter):
    class Squeezed(SimulatedWork):
        def run(self):
            super().run()
            if self.runs == 2:
                setattr(allocator, counter, getattr(allocator, counter) + 1)

    memory = measure_cuda_memory(Squeezed(allocator), base, allocator)
    assert not memory.is_clean
    assert memory.allocator_retries + memory.ooms == 1


def test_without_a_warm_up_the_workspace_falls_into_the_step(allocator):
    memory = measure_cuda_memory(SimulatedWork(allocator), base, allocator, warmup_calls=0)
    assert memory.base_bytes == 10 * MiB
    assert memory.step_peak_bytes == 32 * MiB
