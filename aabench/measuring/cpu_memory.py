"""CPU memory: the peak of one step, from the events of torch's own CPU allocator.

The profiler reports every block that the allocator hands out or takes back on the thread that runs
the step and on the threads that autograd starts for it. Not seen are blocks that a step allocates on
threads of its own, and scratch memory that libraries take from the system directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from aabench.measuring.allocation_trace import AllocationEvent, level_of
from aabench.measuring.event_tree import profiled_events
from aabench.measuring.garbage_collection import collection_paused
from aabench.measuring.memory import MemoryMeasurement, storage_sizes
from aabench.measuring.step import Step


def measure_cpu_memory(
    step: Step,
    base_tensors: Callable[[], Iterable[torch.Tensor]],
    *,
    warmup_calls: int = 1,
) -> MemoryMeasurement:
    """Peak bytes of exactly one steady-state step on the CPU.

    The absolute peak is the base, summed over the unique storages of ``base_tensors``, plus what the
    step's own blocks come to at most. Blocks that were there before and that the step frees are not
    seen by the profiler; the measurement says how much of the base was exchanged.

    Args:
        step: the work.
        base_tensors: gives what is alive between steps: parameters, buffers, optimiser state, input,
            target or output gradient. Called after the warm-up, when optimiser state exists.
        warmup_calls: steps to run first; 0 if the step has already run.

    """
    for _ in range(warmup_calls):
        step.run()
        step.reset()
    step.reset()
    before = storage_sizes(base_tensors())
    with collection_paused():
        level = level_of(allocation_events(step.run))
    after = storage_sizes(base_tensors())
    step.reset()
    base = sum(before.values())
    return MemoryMeasurement(
        base_bytes=base,
        step_peak_bytes=level.peak_bytes,
        peak_allocated_bytes=base + level.peak_bytes,
        retained_bytes=level.final_bytes,
        replaced_base_bytes=sum(size for place, size in before.items() if after.get(place) != size),
    )


def allocation_events(call: Callable[[], object]) -> list[AllocationEvent]:
    """Every block that torch's CPU allocator handed out or took back during a call.

    Events come from the profiler's event tree, which alone gives addresses; its ``total_allocated``
    is process-wide and drifts with every block whose freeing no profile saw, so it is not used.
    """
    return [
        AllocationEvent(node.start_time_ns, node.extra_fields.ptr, node.extra_fields.alloc_size)
        for node in profiled_events(call, memory=True)
        if node.tag.name == "Allocation" and node.extra_fields.device.type == "cpu"
    ]
