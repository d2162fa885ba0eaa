"""The readings of a subject: what measuring says of it, as values by column name."""

from __future__ import annotations

from typing import Any

from aabench.measuring.cpu_latency import measure_cpu_latency
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.measuring.cuda_allocator import CudaAllocator
from aabench.measuring.cuda_device import CudaDevice
from aabench.measuring.cuda_latency import measure_cuda_latency
from aabench.measuring.cuda_memory import measure_cuda_memory
from aabench.measuring.first_call import first_call_seconds
from aabench.measuring.memory import MemoryMeasurement
from aabench.runs.subject import Subject

Figures = dict[str, Any]


def first_call(subject: Subject) -> float | None:
    """Seconds of the first step of a subject, to its end."""
    device = subject.input.device
    if device.type == "cpu":
        return first_call_seconds(subject)
    return first_call_seconds(subject, synchronize=CudaDevice(device).synchronize)


def memory_readings(subject: Subject) -> MemoryMeasurement:
    """The memory of one step; the subject must have run once."""
    device = subject.input.device
    if device.type == "cpu":
        return measure_cpu_memory(subject, subject.base_tensors, warmup_calls=0)
    allocator = CudaAllocator(device)
    return measure_cuda_memory(subject, subject.base_tensors, allocator, warmup_calls=1)


def memory_figures(memory: MemoryMeasurement) -> Figures:
    """A memory measurement by column name."""
    return {
        "peak_allocated_bytes": memory.peak_allocated_bytes,
        "base_bytes": memory.base_bytes,
        "step_peak_bytes": memory.step_peak_bytes,
        "peak_reserved_bytes": memory.peak_reserved_bytes,
        "outside_torch_bytes": memory.outside_torch_bytes,
        "workspace_bytes": memory.workspace_bytes,
        "allocator_retries": memory.allocator_retries,
    }


def latency_readings(
    subject: Subject, seconds: float, enough_samples: int, first_call_s: float | None
) -> tuple[Figures, list[float]]:
    """The latency of a subject that has run once: figures of this round, and its samples."""
    device = subject.input.device
    if device.type == "cpu":
        cpu = measure_cpu_latency(
            subject, seconds=seconds, enough_samples=enough_samples, first_call_s=first_call_s
        )
        return {"calls_per_sample": cpu.calls_per_sample}, list(cpu.samples_s)
    cuda = measure_cuda_latency(
        subject,
        CudaDevice(device),
        seconds=seconds,
        enough_samples=enough_samples,
        first_call_s=first_call_s,
    )
    figures = {
        "calls_per_sample": cuda.warm.calls_per_sample,
        "latency_cold_median_s": None if cuda.cold is None else cuda.cold.median,
        "latency_graph_median_s": None if cuda.graph is None else cuda.graph.median,
        "host_enqueue_median_s": cuda.host_enqueue_s,
        "launch_bound": cuda.launch_bound,
    }
    return figures, list(cuda.warm.samples_s)
