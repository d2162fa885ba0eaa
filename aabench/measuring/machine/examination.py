"""The examination: what was seen of a machine, each probe kept from taking the others down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aabench.measuring.gpu_reading import GpuReading
from aabench.measuring.machine.folder_probe import FolderReading, try_folder
from aabench.measuring.machine.host_reading import HostReading, read_host
from aabench.measuring.machine.nvml_probe import Card
from aabench.measuring.machine.probe_process import PROBE, Answer, ProbeProcess
from aabench.measuring.machine.tested_versions import NeededPackage, needed_packages
from aabench.measuring.machine.toolchain import Toolchain, find_toolchain

NEEDS: Mapping[str, str | None] = {
    "nvml": None,
    "torch": None,
    "environment": "torch",
    "cpu": "torch",
    "cpu kernels": "cpu",
    "cpu compile": "cpu",
    "cuda": "environment",
    "cuda kernels": "cuda",
    "triton": "cuda",
    "cuda compile": "cuda",
}
"""Every stage in order, and the one without which it is not tried. NVML comes first, before there is
a CUDA context of ours on any card."""

THOROUGH = frozenset({"cpu compile", "cuda compile"})
"""Stages that take long."""

SECONDS: Mapping[str, float] = {"nvml": 30, "torch": 300, "cpu compile": 300, "cuda compile": 300}
"""When a stage is given up. Importing torch from a cold network disk can take minutes."""

OTHER_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Examination:
    """What was seen of a machine.

    Attributes:
        answers: by stage, what the probe process said; a stage that was not tried is missing.
        host: the machine before the probes ran.
        toolchain: what there is to compile with.
        packages: what aabench needs and what is installed.
        results: the folder that results would go to.

    """

    answers: Mapping[str, Answer]
    host: HostReading
    toolchain: Toolchain
    packages: Sequence[NeededPackage]
    results: FolderReading

    def facts(self, stage: str) -> Any:
        """What a stage found; None if it was not tried or has no answer."""
        return self.answers.get(stage, Answer()).facts

    def problem(self, stage: str) -> str | None:
        """Why a stage that was tried has no answer; None if it has one or was not tried."""
        answer = self.answers.get(stage)
        return None if answer is None else answer.problem

    @property
    def environment(self) -> Mapping[str, Any]:
        """As ``describe_environment`` gives it; empty if it could not be described."""
        return self.facts("environment") or {}

    @property
    def working_cards(self) -> list[str]:
        """The CUDA devices that computed, by torch's names."""
        devices = (self.facts("cuda") or {}).get("devices", [])
        return [item["device"] for item in devices if item["problem"] is None]

    @property
    def nvml_cards(self) -> list[Card]:
        """What NVML says of every card and slice, before anything here used one."""
        return [
            Card(**{**values, "reading": GpuReading(**_reading(values["reading"]))})
            for values in self.facts("nvml") or []
        ]

    @property
    def torch_cards(self) -> Iterator[tuple[str, Card]]:
        """The cards that torch sees, by its names, as far as NVML knows them."""
        known = {card.uuid: card for card in self.nvml_cards}
        for index, gpu in enumerate(self.environment.get("gpus") or []):
            card = known.get(str(gpu["uuid"]))
            if card is not None:
                yield f"cuda:{index}", card


def examine(
    results: Path,
    *,
    thorough: bool = False,
    started: Callable[[str], None] = lambda stage: None,
    command: Sequence[str] = PROBE,
    seconds: Mapping[str, float] = SECONDS,
) -> Examination:
    """Look at everything that the diagnosis judges.

    Args:
        results: the folder that results would go to.
        thorough: whether to really compile something, which takes up to a minute.
        started: hears the name of each stage before it is tried.
        command: the probe process.
        seconds: by stage, when it is given up; what is missing has 120 s.

    """
    host = read_host()  # first: the probes themselves are a load
    answers: dict[str, Answer] = {}
    with ProbeProcess(command) as process:
        for stage in NEEDS:
            if (stage in THOROUGH and not thorough) or not _is_worthwhile(stage, answers):
                continue
            started(stage)
            answers[stage] = process.ask(stage, seconds.get(stage, OTHER_SECONDS))
    return Examination(
        answers=answers,
        host=host,
        toolchain=find_toolchain(),
        packages=needed_packages(),
        results=try_folder(results),
    )


def _is_worthwhile(stage: str, answers: Mapping[str, Answer]) -> bool:
    """Whether what a stage needs was found to work, which for a card is one that computes."""
    needed = NEEDS[stage]
    if needed is None:
        return True
    answer = answers.get(needed)
    if answer is None or answer.problem is not None:
        return False
    if needed != "cuda":
        return True
    first = next(iter(answer.facts["devices"]), None)
    return first is not None and first["problem"] is None


def _reading(values: Mapping[str, Any]) -> dict[str, Any]:
    """A reading's fields; JSON has made a list of the one tuple."""
    reasons = values["clock_reasons"]
    return {**values, "clock_reasons": None if reasons is None else tuple(reasons)}
