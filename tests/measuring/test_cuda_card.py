"""The parts that talk to a real card; skipped where there is none."""

import pytest
import torch

from aabench.measuring.cuda_allocator import CudaAllocator
from aabench.measuring.cuda_device import CudaDevice
from aabench.measuring.cuda_latency import measure_cuda_latency
from aabench.measuring.cuda_memory import measure_cuda_memory
from aabench.measuring.energy import measure_energy
from aabench.measuring.environment import describe_environment
from aabench.measuring.nvml import GpuReader
from aabench.measuring.out_of_memory import recognise_out_of_memory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

N = 1024
MAP = N * N * 4


class Product:
    """x @ weight with its backward pass on the card."""

    def __init__(self):
        self.x = torch.randn(N, N, device="cuda")
        self.weight = torch.randn(N, N, device="cuda", requires_grad=True)
        self.gradient = torch.randn(N, N, device="cuda")

    def run(self):
        (self.x @ self.weight).backward(self.gradient)

    def reset(self):
        self.weight.grad = None

    def base(self):
        return [self.x, self.weight, self.gradient]


@pytest.fixture
def step():
    return Product()


def test_latency(step):
    result = measure_cuda_latency(step, CudaDevice(torch.device("cuda")), seconds=1.0)
    assert result.warm.summary.n >= 10
    assert 0 < result.warm.summary.minimum <= result.warm.summary.median < 0.1
    assert result.cold.n >= 10
    assert result.graph_refusal is None and result.graph.n >= 10
    assert result.host_enqueue_s > 0


def test_a_step_that_synchronises_refuses_capture_and_leaves_the_card_usable(step):
    class Waiting(Product):
        def run(self):
            super().run()
            self.weight.grad.sum().item()

    result = measure_cuda_latency(Waiting(), CudaDevice(torch.device("cuda")), seconds=0.5)
    assert result.graph is None and result.graph_refusal
    assert (
        measure_cuda_latency(step, CudaDevice(torch.device("cuda")), seconds=0.5).graph is not None
    )


def test_memory_is_what_was_counted_by_hand(step):
    memory = measure_cuda_memory(step, step.base, CudaAllocator(torch.device("cuda")))
    assert memory.step_peak_bytes == 2 * MAP
    assert memory.retained_bytes == MAP
    assert memory.base_bytes == 3 * MAP + memory.workspace_bytes
    assert memory.unaccounted_bytes == 0
    assert memory.peak_reserved_bytes >= memory.peak_allocated_bytes
    assert memory.outside_torch_bytes > 0 and memory.is_clean


def test_out_of_memory_tells_its_figures():
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
    found = recognise_out_of_memory(caught.value)
    assert found.requested_bytes == 2**50
    assert found.total_bytes and found.free_bytes


def test_nvml_knows_the_card_that_torch_uses(step):
    properties = torch.cuda.get_device_properties(0)
    with GpuReader(str(properties.uuid)) as reader:
        reading = reader.read()
        assert reading.name == properties.name
        assert abs(reading.memory_total_bytes / properties.total_memory - 1) < 0.1
        energy = measure_energy(step, CudaDevice(torch.device("cuda")), reader, 1e-3, seconds=0.5)
    assert energy.joules is None or energy.joules > 0
    assert describe_environment()["gpus"][0]["name"] == properties.name
