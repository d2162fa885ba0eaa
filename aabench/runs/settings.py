"""The settings of a run: where, how long and in which order its cases are measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from aabench.errors import UnknownName, UsageError

SECONDS_PER_CASE = {"cpu": 1.5, "cuda": 3.0}
"""Default sampling time of a case by device type, all rounds together."""

ENOUGH_SAMPLES = 10
"""Samples below which a median is doubtful."""

ALL = "all"
"""Every CUDA device that torch sees."""

KNOWN_DEVICES = ("auto", "cpu", "cuda", "cuda:0", "cuda:0,cuda:1", ALL)
"""What ``--device`` takes, by example."""

_DEVICE = re.compile(r"auto|all|cpu|cuda(:\d+)?|cuda:\d+(,cuda:\d+)+")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a grid is measured.

    Attributes:
        device: ``auto`` (the first CUDA device if there is one, else the CPU), ``cpu``, ``cuda:N``,
            ``cuda:0,cuda:2`` or ``all`` CUDA devices, one worker each.
        seconds_per_case: sampling time of a case, shared between the rounds; None: by device.
        rounds: passes over the shuffled list of cases.
        timeout: seconds after which the round of one case is given up.
        seed: of the order of cases and of their inputs.
        isolate: a fresh worker process for every case.
    """

    device: str = "auto"
    seconds_per_case: float | None = None
    rounds: int = 2
    timeout: float = 600.0
    seed: int = 0
    isolate: bool = False

    def __post_init__(self) -> None:
        _check_device(self.device)
        _check_number("seconds-per-case", self.seconds_per_case, 0.01, 3600)
        _check_number("rounds", self.rounds, 1, 100, whole=True)
        _check_number("timeout", self.timeout, 1, 86_400)
        _check_number("seed", self.seed, 0, 2**63 - 1, whole=True)
        if not isinstance(self.isolate, bool):
            raise UsageError("--isolate is a switch", got=self.isolate, allowed="true, false")

    @classmethod
    def of(cls, *layers: Mapping[str, Any]) -> RunSettings:
        """Settings from several mappings, later ones first in command; None means not given.

        Raises:
            UsageError: an unknown setting or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        merged: dict[str, Any] = {}
        for layer in layers:
            for name, value in layer.items():
                if name not in known:
                    raise UnknownName("setting", name, known)
                if value is not None:
                    merged[name] = value
        return cls(**merged)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        return asdict(self)

    @property
    def has_several_devices(self) -> bool:
        """Whether it may be more than one."""
        return self.device == ALL or "," in self.device

    @property
    def samples_per_round(self) -> int:
        """Samples to aim for in one round, so that all rounds together have enough."""
        return -(-ENOUGH_SAMPLES // self.rounds)

    def seconds_per_round(self, device_type: str) -> float:
        """Sampling seconds that one round of one case has on a device."""
        seconds = self.seconds_per_case
        return (SECONDS_PER_CASE[device_type] if seconds is None else seconds) / self.rounds


def _check_device(device: object) -> None:
    if isinstance(device, str) and "," in device and {"auto", ALL, "cpu"} & set(device.split(",")):
        raise UsageError(
            "--device: only CUDA devices can be listed: cases on the CPU would disturb all others",
            got=device,
            allowed="cpu alone, cuda:0,cuda:1 or all",
        )
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise UnknownName("device", str(device), KNOWN_DEVICES)
    names = device.split(",")
    if len(set(names)) < len(names):
        raise UsageError("--device: a device is listed twice", got=device)


def _check_number(
    name: str, value: Any, smallest: float, largest: float, *, whole: bool = False
) -> None:
    if value is None:
        return
    kinds = int if whole else int | float
    good = isinstance(value, kinds) and not isinstance(value, bool)
    if not good or not smallest <= value <= largest:  # NaN is not within anything
        noun = "a whole number" if whole else "a number"
        raise UsageError(
            f"--{name} is out of range", got=value, allowed=f"{noun} from {smallest} to {largest}"
        )
