"""The task: one round of one case, as the parent hands it to a worker, and the outcome it gets back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from aabench.cases.case import Case


@dataclass(frozen=True, slots=True)
class Task:
    """One round of one case.

    Attributes:
        case: what to measure; its form is resolved.
        round: from 0; only round 0 checks the result, counts and reads the memory.
        device: a torch device, such as ``cuda:0``.
        seconds: sampling time of this round.
        enough_samples: samples to aim for in it.
        seed: of weights and inputs.
        attempt: 0, or how often this round was retried.
        place: the device's name in the results, where that is another one than ``device``.
        needed_bytes: what it is predicted to need of the host's memory; a CPU case that needs more than
            there is, is not run. None where nobody knows, and on cards, which refuse by themselves.
    """

    case: Case
    round: int
    device: str
    seconds: float
    enough_samples: int
    seed: int
    attempt: int = 0
    place: str = ""
    needed_bytes: int | None = None

    @property
    def where(self) -> str:
        """What the results call the device."""
        return self.place or self.device

    def to_dict(self) -> dict[str, Any]:
        """The task as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Task:
        """The task that ``to_dict`` wrote."""
        return cls(**{**values, "case": Case.from_dict(values["case"])})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    Attributes:
        status: one of ``aabench.cases.columns.STATUSES``.
        reason: why it is not ok, in one sentence.
        figures: values by column name; a column not measured is absent.
        samples_s: seconds per step, one per sample of this round.
        warnings: ``remark — remedy`` lines of this round.
        sample_warnings: the same of the samples of all rounds so far.
        device: what the results call the device it ran on.
        phases_s: seconds by phase of the work.
        tainted: whether the worker should not measure anything else.
    """

    status: str
    reason: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    samples_s: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sample_warnings: list[str] = field(default_factory=list)
    device: str = ""
    phases_s: dict[str, float] = field(default_factory=dict)
    tainted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """The outcome that ``to_dict`` wrote."""
        return cls(**values)
