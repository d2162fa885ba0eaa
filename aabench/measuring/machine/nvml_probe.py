"""The NVML probe: every card and slice of a card on this machine, whether torch can use it or not.

It wants neither torch nor a CUDA context, so whatever is on a card while it looks is somebody else.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aabench.measuring.gpu_reading import GpuReading
from aabench.measuring.nvml import GpuReader

MOST_POWER_MW = 100_000_000
MOST_SLICES = 16


@dataclass(frozen=True, slots=True)
class Card:
    """One card, or one slice of a card.

    Attributes:
        uuid: NVML's, with its prefix; its number where it does not even say that.
        reading: what NVML says of it now.
        default_power_limit_w: what its maker set; None if not known.
        slice_of: the UUID of the card that it is a slice of; None for a whole card.

    """

    uuid: str
    reading: GpuReading
    default_power_limit_w: float | None = None
    slice_of: str | None = None


def read_cards(library: Any = None) -> list[Card]:
    """Read every card that NVML knows.

    Args:
        library: stands in for the module ``pynvml``; None imports that.

    Raises:
        Exception: whatever NVML raises where it is missing or fails as a whole.

    """
    nvml = importlib.import_module("pynvml") if library is None else library
    nvml.nvmlInit()
    try:
        return [card for index in range(nvml.nvmlDeviceGetCount()) for card in _cards(nvml, index)]
    finally:
        nvml.nvmlShutdown()


def _cards(nvml: Any, index: int) -> Iterator[Card]:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(nvml.nvmlDeviceGetUUID(handle))
    except Exception as error:  # a card that is lost must not hide the others
        yield Card(f"card {index}", GpuReading(problem=f"{type(error).__name__}: {error}"))
        return
    yield Card(uuid, _reading(nvml, uuid), _default_power_limit_w(nvml, handle))
    for slice_uuid in _slices(nvml, handle):
        yield Card(slice_uuid, _reading(nvml, slice_uuid), slice_of=uuid)


def _reading(nvml: Any, uuid: str) -> GpuReading:
    with GpuReader(uuid, library=nvml, holds_context=False) as reader:
        return reader.read()


def _default_power_limit_w(nvml: Any, handle: Any) -> float | None:
    """Watts; None where the card does not say, or says what cannot be."""
    try:
        milliwatts = nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)
    except Exception:  # a driver library may raise anything, and none of it matters
        return None
    is_number = isinstance(milliwatts, int) and not isinstance(milliwatts, bool)
    return milliwatts / 1e3 if is_number and 0 < milliwatts <= MOST_POWER_MW else None


def _slices(nvml: Any, handle: Any) -> Iterator[str]:
    """The UUIDs of a card's slices; none where it is not, or cannot be, sliced."""
    try:
        count = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except Exception:  # most cards cannot be sliced, and older drivers lack the question
        return
    for place in range(min(count, MOST_SLICES)):
        try:
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
            yield _text(nvml.nvmlDeviceGetUUID(part))
        except Exception:  # places without a slice are asked for and not found
            continue


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
