"""One CUDA device as a timer: marks in its stream, synchronisation, cache flush, graph capture.

Everything that latency measurement asks of ``torch.cuda`` is here, behind the protocol
``TimingDevice``, so that its logic can be tested without a card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch

from aabench.measuring.step import Step

CAPTURE_WARM_UP_CALLS = 2
MILLISECONDS = 1e-3

_cuda: Any = torch.cuda
"""``torch.cuda`` is typed in part only, and which part changes from release to release."""


class TimingDevice(Protocol):
    """What latency measurement needs of an asynchronous device."""

    def activated(self) -> AbstractContextManager[None]:
        """Make the device current inside the block."""

    def synchronize(self) -> None:
        """Wait until all work enqueued so far is done."""

    def mark(self) -> Any:
        """Enqueue a mark in the stream, without waiting."""

    def seconds_between(self, earlier: Any, later: Any) -> float:
        """Device seconds between two marks that have been reached."""

    def cache_flusher(self) -> Callable[[], None]:
        """A function that enqueues the eviction of everything from the device's L2 cache."""

    def captured(self, step: Step) -> AbstractContextManager[Callable[[], None]]:
        """Capture one run of a step as a graph; the block gets the function that replays it.

        Raises:
            RuntimeError: the step cannot be captured.

        """


class CudaDevice:
    """A CUDA device behind the protocol ``TimingDevice``, on the stream that is current.

    Args:
        device: a CUDA device with or without index.

    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @contextmanager
    def activated(self) -> Iterator[None]:
        """Make the device current inside the block, so that streams and events are of it."""
        with torch.cuda.device(self.device):
            yield

    def synchronize(self) -> None:
        """Wait until all work of all streams is done; raises what asynchronous kernels raised."""
        torch.cuda.synchronize(self.device)

    def mark(self) -> torch.cuda.Event:
        """Record a timing event in the current stream."""
        event: torch.cuda.Event = _cuda.Event(enable_timing=True)
        _cuda.current_stream(self.device).record_event(event)
        return event

    def seconds_between(self, earlier: torch.cuda.Event, later: torch.cuda.Event) -> float:
        """Seconds between two recorded events; both must have been reached."""
        return float(earlier.elapsed_time(later)) * MILLISECONDS

    def cache_flusher(self) -> Callable[[], None]:
        """Zeroes a buffer of exactly the L2's size, allocated here and once."""
        size = torch.cuda.get_device_properties(self.device).L2_cache_size
        buffer = torch.empty(size, dtype=torch.uint8, device=self.device)

        def flush() -> None:
            buffer.zero_()

        return flush

    @contextmanager
    def captured(self, step: Step) -> Iterator[Callable[[], None]]:
        """Capture one run of a step as a CUDA graph, as torch's notes on CUDA graphs prescribe.

        The runs before the capture are on a side stream, so that nothing is initialised for the
        first time while capturing. The gradients that the captured run leaves are dropped; their
        memory stays reserved to the graph, which writes to it at every replay.

        Raises:
            RuntimeError: the step does what a capture forbids, or memory does not suffice.

        """
        current = torch.cuda.current_stream(self.device)
        side = _cuda.Stream(self.device)
        side.wait_stream(current)
        with _cuda.stream(side):
            for _ in range(CAPTURE_WARM_UP_CALLS):
                step.run()
                step.reset()
        current.wait_stream(side)
        graph = _cuda.CUDAGraph()
        try:
            with _cuda.graph(graph):
                step.run()
        finally:
            step.reset()
        try:
            yield graph.replay
        finally:
            torch.cuda.synchronize(self.device)
            graph.reset()
