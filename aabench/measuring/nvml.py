"""NVML: reading one card through the module ``pynvml``, which may be missing, fail or talk nonsense.

Nothing here raises on behalf of NVML. What cannot be read, or cannot be true, is None, and the first
problem is kept in one line: a sweep must not end because a driver's monitoring does.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from aabench.measuring.gpu_reading import GpuReading, clock_reasons

Value = TypeVar("Value")

MOST_MEMORY_BYTES = 1 << 50
MOST_CLOCK_MHZ = 10_000
HOTTEST_C = 150
MOST_POWER_MW = 100_000_000
MOST_COUNT = 1 << 64
MOST_NAME_LENGTH = 200

SILENT_CODES = {3, 13}
"""NVML_ERROR_NOT_SUPPORTED and NVML_ERROR_FUNCTION_NOT_FOUND: a card's or driver's way of saying
that it does not have this figure, which is no problem."""


class GpuReader:
    """Reads one card, inside a ``with`` block; outside of it, or where NVML is missing, reads nothing.

    The card is found by UUID, since torch's numbering follows CUDA_VISIBLE_DEVICES and the order of
    speed, NVML's the order of the bus.

    Args:
        uuid: the card's, with or without the prefix ``GPU-``, as ``torch.cuda`` gives it.
        library: stands in for the module ``pynvml``; None imports that.
        process: this process's id.
        holds_context: whether this process has a CUDA context, and so is among the processes that
            NVML sees on the card, under whatever id.

    """

    def __init__(
        self,
        uuid: str,
        *,
        library: Any = None,
        process: int | None = None,
        holds_context: bool = True,
    ) -> None:
        self._uuid = uuid
        self._library = library
        self._process = os.getpid() if process is None else process
        self._holds_context = holds_context
        self._handle: Any = None
        self._is_open = False
        self._problem: str | None = None

    def __enter__(self) -> Self:
        self._problem = None
        try:
            if self._library is None:
                self._library = importlib.import_module("pynvml")
            self._library.nvmlInit()
            self._is_open = True
            self._handle = self._find()
            if self._handle is None:
                self._problem = "NVML: gave no handle"
        except Exception as error:  # a driver library may raise anything, and none of it matters
            self._problem = f"NVML: {_named(error)}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handle = None
        if self._is_open:
            self._is_open = False
            self._ask("nvmlShutdown", lambda _: None, with_handle=False)

    def read(self) -> GpuReading:
        """Everything that NVML says of the card now; costs some milliseconds."""
        if self._handle is None:
            return GpuReading(problem=self._problem or "NVML: not opened")
        self._problem = None
        memory = self._ask("nvmlDeviceGetMemoryInfo", _memory)
        limit = self._ask("nvmlDeviceGetEnforcedPowerLimit", _watts)
        return GpuReading(
            name=self._ask("nvmlDeviceGetName", _text),
            uuid=self._ask("nvmlDeviceGetUUID", _text),
            driver=self._ask("nvmlSystemGetDriverVersion", _text, with_handle=False),
            memory_total_bytes=None if memory is None else memory[0],
            memory_used_bytes=None if memory is None else memory[1],
            sm_clock_hz=self._clock_hz("NVML_CLOCK_SM", 1),
            memory_clock_hz=self._clock_hz("NVML_CLOCK_MEM", 2),
            temperature_c=self._temperature(),
            power_w=self.power_w(),
            power_limit_w=limit,
            clock_reasons=self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", _reasons),
            slowed_s=self._slowed_s(),
            other_processes=self._ask("nvmlDeviceGetComputeRunningProcesses", self._others),
            energy_j=self.energy_j(),
            problem=self._problem,  # the last argument, so that it knows what the others met with
        )

    def power_w(self) -> float | None:
        """Watts that the card draws now."""
        return self._ask("nvmlDeviceGetPowerUsage", _watts)

    def energy_j(self) -> float | None:
        """Joules that the card has drawn since the driver was loaded (Volta and newer)."""
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption", _count)
        return None if millijoules is None else millijoules / 1e3

    @property
    def problem(self) -> str | None:
        """The first problem since the card was opened or last read in full."""
        return self._problem

    def _find(self) -> Any:
        """The handle of the card, or of the slice of a card.

        Raises:
            Exception: whatever NVML raises when it is asked for the card.

        """
        bare = self._uuid.removeprefix("GPU-").removeprefix("MIG-")
        if not self._uuid.startswith("MIG-"):
            try:
                return self._library.nvmlDeviceGetHandleByUUID(f"GPU-{bare}")
            except Exception as whole_card:  # torch names a slice like a card: it may be one
                try:
                    return self._library.nvmlDeviceGetHandleByUUID(f"MIG-{bare}")
                except Exception:
                    raise whole_card from None
        return self._library.nvmlDeviceGetHandleByUUID(self._uuid)

    def _ask(
        self,
        function: str,
        understand: Callable[[Any], Value],
        *arguments: Any,
        with_handle: bool = True,
    ) -> Value | None:
        """What a function of NVML says, if it says something that can be true."""
        if with_handle and self._handle is None:
            return None
        try:
            ask = getattr(self._library, function)
            return understand(ask(self._handle, *arguments) if with_handle else ask())
        except (
            Exception
        ) as error:  # missing, failing and absurd answers are all the same: no answer
            if getattr(error, "value", None) not in SILENT_CODES:
                self._problem = self._problem or f"{function}: {_named(error)}"
            return None

    def _clock_hz(self, constant: str, default: int) -> int | None:
        domain = getattr(self._library, constant, default)
        return self._ask("nvmlDeviceGetClockInfo", _hertz, domain)

    def _temperature(self) -> int | None:
        sensor = getattr(self._library, "NVML_TEMPERATURE_GPU", 0)
        return self._ask("nvmlDeviceGetTemperature", _degrees, sensor)

    def _slowed_s(self) -> float | None:
        """Seconds that the power limit and heat have held the clocks down; None if neither is told."""
        policies = (("NVML_PERF_POLICY_POWER", 0), ("NVML_PERF_POLICY_THERMAL", 1))
        told = [
            self._ask(
                "nvmlDeviceGetViolationStatus", _violation_s, getattr(self._library, name, default)
            )
            for name, default in policies
        ]
        known = [seconds for seconds in told if seconds is not None]
        return sum(known) if known else None

    def _others(self, processes: Any) -> int:
        """Processes on the card besides this one.

        In a container NVML may know this process under the host's id, or all of them under none. If
        this process has a context, one of those listed is itself, recognised or not.

        Raises:
            ValueError: it is no list of processes.

        """
        if not isinstance(processes, list | tuple):
            raise ValueError(f"gave {processes!r:.80}, not a list of processes")
        listed = [_whole(process.pid, 0, MOST_COUNT) for process in processes]
        is_listed = self._process in listed or (self._holds_context and bool(listed))
        return len(listed) - is_listed


def _whole(value: Any, least: int, most: int) -> int:
    """A whole number within bounds.

    Raises:
        ValueError: it is something else.

    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"gave {value!r:.80}, not a whole number from {least} to {most}")
    return value


def _count(value: Any) -> int:
    return _whole(value, 0, MOST_COUNT)


def _hertz(megahertz: Any) -> int:
    return _whole(megahertz, 0, MOST_CLOCK_MHZ) * 1_000_000


def _degrees(value: Any) -> int:
    return _whole(value, 0, HOTTEST_C)


def _watts(milliwatts: Any) -> float:
    return _whole(milliwatts, 0, MOST_POWER_MW) / 1e3


def _violation_s(status: Any) -> float:
    return _whole(status.violationTime, 0, MOST_COUNT) / 1e9


def _reasons(bits: Any) -> tuple[str, ...]:
    return clock_reasons(_count(bits))


def _memory(info: Any) -> tuple[int, int]:
    total = _whole(info.total, 1, MOST_MEMORY_BYTES)
    return total, _whole(info.used, 0, total)


def _text(value: Any) -> str:
    """A name; older releases give bytes.

    Raises:
        ValueError: it is no text that could be a name.

    """
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not text.isprintable() or not text.strip():
        raise ValueError(f"gave {value!r:.80}, not a name")
    return text.strip()[:MOST_NAME_LENGTH]


def _named(error: Exception) -> str:
    """An error as one short line."""
    line = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
