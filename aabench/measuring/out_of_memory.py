"""Out of memory: telling it from other errors, on CUDA and on the CPU, with the figures it gives."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from aabench.measuring.available_memory import available_bytes, total_bytes

UNITS = {
    "bytes": 1,
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
    "EiB": 2**60,
}

_QUANTITY = r"(\d+(?:\.\d+)?) (bytes|[KMGTPE]iB|B)\b"
_REQUESTED = re.compile(rf"(?:llocate|Requested size:) {_QUANTITY}")
_TOTAL = re.compile(rf"total capacity of {_QUANTITY}")
_FREE = re.compile(rf"of which {_QUANTITY} is free")

_CPU_SIGNS = (
    "defaultcpuallocator: can't allocate memory",
    "defaultcpuallocator: not enough memory",
)
_CUDA_SIGNS = (
    "cuda out of memory",
    "cuda error: out of memory",
    "cuda driver error: out of memory",
    "cudaerrormemoryallocation",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
MESSAGE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """An allocation that failed.

    Attributes:
        requested_bytes: what was asked for; None if the error does not say.
        total_bytes: memory of the device; None if not known.
        free_bytes: what was free of it when the allocation failed; on the CPU, when it was
            recognised; None if not known.
        message: the error's words, one line.

    """

    requested_bytes: int | None
    total_bytes: int | None
    free_bytes: int | None
    message: str


MemoryOfMachine = Callable[[], tuple[int, int]]
"""Gives free and total bytes of the machine."""


def recognise_out_of_memory(
    error: BaseException, machine: MemoryOfMachine = lambda: (available_bytes(), total_bytes())
) -> OutOfMemory | None:
    """What ran out, if memory did; None if the error is of another kind.

    Errors that were raised because of an out-of-memory error, as compilers do, are recognised by
    their cause. Figures in torch's messages are rounded to two decimals of their unit.

    Args:
        error: anything that was raised.
        machine: asked about the machine's memory if it was the CPU's that ran out.

    """
    for cause in _causes(error):
        text = str(cause)
        if _is_cuda(cause, text.lower()):
            return OutOfMemory(
                _quantity(_REQUESTED, text),
                _quantity(_TOTAL, text),
                _quantity(_FREE, text),
                _one_line(cause),
            )
        if _is_cpu(cause, text.lower()):
            free, total = machine()
            return OutOfMemory(_quantity(_REQUESTED, text), total, free, _one_line(cause))
    return None


def _is_cuda(error: BaseException, text: str) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in text for sign in _CUDA_SIGNS)


def _is_cpu(error: BaseException, text: str) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in text for sign in _CPU_SIGNS)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on; each once, should they refer to each other."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )


def _quantity(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return None if found is None else round(float(found[1]) * UNITS[found[2]])


def _one_line(error: BaseException) -> str:
    text = str(error).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 1] + "…"
