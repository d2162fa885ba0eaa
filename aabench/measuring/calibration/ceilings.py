"""The measured ceilings of a device: copy bandwidth, matrix rate by format, launch time.

Each is the best of several samples: a ceiling is what the device can do, not what it does on average,
and whatever else runs on a machine only ever slows it down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from aabench.cases.ceilings import Ceilings
from aabench.measuring.clock import NANOSECONDS, Clock, Durations

LEAST_SAMPLES = 5
MOST_SAMPLES = 1000

TINY_OPERATIONS = 200
"""Operations that are started in a row to time one launch."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work a sample is.

    Attributes:
        copy_bytes: size of what is copied: far more than caches hold.
        matrix_side: rows and columns of the matrices.
    """

    copy_bytes: int
    matrix_side: int


SIZES = {"cpu": Sizes(128 * 2**20, 1024), "cuda": Sizes(2**30, 8192)}
"""By device type."""

FORMATS = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""The data type of each format that may have a rate."""


def measure_ceilings(
    device: torch.device,
    *,
    seconds: float,
    source: str,
    synchronize: Callable[[], None] = lambda: None,
    sizes: Sizes | None = None,
    started: Callable[[str], None] = lambda text: None,
    clock: Clock = time.perf_counter_ns,
) -> Ceilings:
    """Measure what a device can do at best.

    Args:
        device: a CPU or CUDA device.
        seconds: for each figure, at least; a few samples are taken however long they are.
        source: what the ceilings are to say of themselves.
        synchronize: waits until the device has done all that was started.
        sizes: of the samples; by default those of the device's type.
        started: told in a few words what is measured next.
        clock: the source of nanoseconds.

    Raises:
        ClockError: the clock stands still or runs back.
    """
    work = SIZES[device.type] if sizes is None else sizes

    def best(call: Callable[[], object]) -> float:
        return _best_seconds(call, synchronize, seconds, clock)

    started("copy bandwidth")
    bandwidth = _copy_bandwidth(device, work.copy_bytes, best)
    rates: dict[str, float] = {}
    for name in FORMATS:
        if _has_format(device, name):
            started(f"matrix rate, {name}")
            rates[name] = _matrix_rate(device, name, work.matrix_side, best)
    started("launch time")
    return Ceilings(bandwidth, rates, _launch_seconds(device, best), source, is_measured=True)


Best = Callable[[Callable[[], object]], float]


def _copy_bandwidth(device: torch.device, size: int, best: Best) -> float:
    """Bytes read plus bytes written per second of a copy."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * size / best(lambda: target.copy_(source))


def _matrix_rate(device: torch.device, name: str, side: int, best: Best) -> float:
    """FLOP/s of the product of two square matrices of random numbers."""
    left, right, out = (
        torch.randn(side, side, device=device).to(FORMATS[name]) for _ in ("left", "right", "out")
    )
    with torch.inference_mode(), _matmul_precision("tf32" if name == "tf32" else "ieee"):
        return 2 * side**3 / best(lambda: torch.mm(left, right, out=out))


def _launch_seconds(device: torch.device, best: Best) -> float:
    """Seconds to start one operation that has next to nothing to do."""
    number = torch.zeros(1, device=device)

    def start_many() -> None:
        for _ in range(TINY_OPERATIONS):
            number.add_(1.0)

    with torch.inference_mode():
        return best(start_many) / TINY_OPERATIONS


def _has_format(device: torch.device, name: str) -> bool:
    """Whether products in this format run on units of their own."""
    if name == "tf32":
        return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if name == "bf16" and device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return True


def _best_seconds(
    call: Callable[[], object], synchronize: Callable[[], None], seconds: float, clock: Clock
) -> float:
    """The shortest of several calls; of a first one only, where that alone takes all of the time.

    The first call pays for whatever has to be loaded, and does not count unless it is alone.
    """

    def once() -> float:
        before = clock()
        call()
        synchronize()
        return (clock() - before) * NANOSECONDS

    first = once()
    if first >= seconds:
        return first
    durations = Durations()
    begin = clock()
    while len(durations.kept) < MOST_SAMPLES:
        durations.add(once())
        enough = len(durations.kept) >= LEAST_SAMPLES
        if enough and (clock() - begin) * NANOSECONDS >= seconds:
            break
    return min(durations.kept)


@contextmanager
def _matmul_precision(wanted: str) -> Iterator[None]:
    """Single-precision products as asked for; put back afterwards."""
    products: Any = torch.backends.cuda.matmul  # typed in part only
    before = products.fp32_precision
    products.fp32_precision = wanted
    try:
        yield
    finally:
        products.fp32_precision = before
