"""The readings of a subject: what measuring says of it, by column name, and what it says against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from aabench.measuring.cpu_latency import measure_cpu_latency
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.measuring.cuda_allocator import CudaAllocator
from aabench.measuring.cuda_device import CudaDevice
from aabench.measuring.cuda_latency import CudaLatencyMeasurement, measure_cuda_latency
from aabench.measuring.cuda_memory import measure_cuda_memory
from aabench.measuring.energy import EnergyMeasurement, measure_energy
from aabench.measuring.first_call import first_call_seconds
from aabench.measuring.kernels.kernel_record import record_kernel
from aabench.measuring.memory import MemoryMeasurement
from aabench.measuring.nvml import GpuReader
from aabench.measuring.warning_rules import (
    Remark,
    gpu_remarks,
    kernel_remarks,
    latency_remarks,
    memory_remarks,
)
from aabench.runs.subject import Subject
from aabench.runs.task import Task


@dataclass
class Readings:
    """What is known of a subject so far.

    Attributes:
        figures: values by column name.
        samples_s: seconds per step, one per sample.
        remarks: what makes the figures doubtful.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    samples_s: list[float] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def first_call(subject: Subject) -> float | None:
    """Seconds of the first step of a subject, to its end."""
    device = subject.input.device
    if device.type == "cpu":
        return first_call_seconds(subject)
    return first_call_seconds(subject, synchronize=CudaDevice(device).synchronize)


def read_memory(subject: Subject, readings: Readings) -> None:
    """The memory of one step; the subject must have run once."""
    memory = _memory(subject)
    readings.remarks += memory_remarks(memory)
    readings.figures |= {
        "peak_allocated_bytes": memory.peak_allocated_bytes,
        "base_bytes": memory.base_bytes,
        "step_peak_bytes": memory.step_peak_bytes,
        "peak_reserved_bytes": memory.peak_reserved_bytes,
        "outside_torch_bytes": memory.outside_torch_bytes,
        "workspace_bytes": memory.workspace_bytes,
        "allocator_retries": memory.allocator_retries,
    }


def _memory(subject: Subject) -> MemoryMeasurement:
    device = subject.input.device
    if device.type == "cpu":
        return measure_cpu_memory(subject, subject.base_tensors, warmup_calls=0)
    return measure_cuda_memory(subject, subject.base_tensors, CudaAllocator(device), warmup_calls=1)


def read_kernel(subject: Subject, readings: Readings) -> None:
    """Which kernel computes the attention of a subject that has one and has run once."""
    record = record_kernel(subject, subject.input.device)
    readings.figures |= {"kernel": record.kernel, "kernel_refused": record.refused}
    readings.remarks += kernel_remarks(record.kernel)


def read_latency(subject: Subject, readings: Readings, task: Task, first_s: float | None) -> None:
    """The latency of a subject that has run once, and on CUDA what the card said meanwhile."""
    if subject.input.device.type == "cpu":
        latency = measure_cpu_latency(
            subject,
            seconds=task.seconds,
            enough_samples=task.enough_samples,
            first_call_s=first_s,
        )
        readings.samples_s = list(latency.samples_s)
        readings.figures["calls_per_sample"] = latency.calls_per_sample
        readings.remarks += latency_remarks(latency)
    else:
        _read_cuda_latency(subject, readings, task, first_s)


def _read_cuda_latency(
    subject: Subject, readings: Readings, task: Task, first_s: float | None
) -> None:
    """Cold samples, graph replays and energy are taken in the first round alone: no headlines."""
    first_round = task.round == 0
    device = subject.input.device
    card = CudaDevice(device)
    with GpuReader(str(torch.cuda.get_device_properties(device).uuid)) as reader:
        before = reader.read()
        cuda = measure_cuda_latency(
            subject,
            card,
            seconds=task.seconds,
            enough_samples=task.enough_samples,
            cold=first_round,
            graph=first_round,
            first_call_s=first_s,
        )
        seen = [before]
        if first_round:
            energy = measure_energy(subject, card, reader, cuda.warm.summary.median)
            seen.append(energy.busy)  # why clocks are low shows only while the card works
            readings.figures |= card_figures(energy, subject.case.batch)
        readings.remarks += gpu_remarks([*seen, reader.read()])
    readings.samples_s = list(cuda.warm.samples_s)
    readings.remarks += latency_remarks(cuda.warm, is_launch_bound=cuda.launch_bound)
    readings.figures |= cuda_figures(cuda, first_round)


def cuda_figures(cuda: CudaLatencyMeasurement, first_round: bool) -> dict[str, Any]:
    """What a latency measurement on a card says beside its samples."""
    figures: dict[str, Any] = {
        "calls_per_sample": cuda.warm.calls_per_sample,
        "host_enqueue_median_s": cuda.host_enqueue_s,
    }
    if first_round:
        figures |= {
            "latency_cold_median_s": None if cuda.cold is None else cuda.cold.median,
            "latency_graph_median_s": None if cuda.graph is None else cuda.graph.median,
            "graph_refused": cuda.graph_refusal,
            "launch_bound": cuda.launch_bound,
        }
    return figures


def card_figures(energy: EnergyMeasurement, batch: int) -> dict[str, Any]:
    """Energy, and what NVML said of the card while it worked."""
    return {
        "energy_per_item_j": energy.joules_per_item(batch),
        "energy_source": energy.source,
        "gpu_sm_clock_hz": energy.busy.sm_clock_hz,
        "gpu_memory_clock_hz": energy.busy.memory_clock_hz,
        "gpu_temperature_c": energy.busy.temperature_c,
        "gpu_power_w": energy.busy.power_w,
    }
