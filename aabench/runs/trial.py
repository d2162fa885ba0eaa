"""The trial: one step of a planned network in a process of its own, under a cap, to see whether it fits.

``python -m aabench.runs.trial`` reads one trial as JSON from standard input and writes what became of it
to standard output. It shares no formula with the prediction that it checks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from aabench.cases.network import Network
from aabench.cost.traced.step_settings import StepSettings
from aabench.networks.plan import Plan

SEED = 0


class Outcome(StrEnum):
    """What became of a trial."""

    FITTED = "fitted"
    OUT_OF_MEMORY = "out of memory"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """What is to be run.

    Attributes:
        network: a network of the catalogue; without attention where there is a plan.
        plan: what of it is augmented; None where the network is what it is.
        attention: the form, of a network without a plan.
        batch: images.
        settings: what the step is.
        device: ``cpu`` or ``cuda:N``.
        cap_bytes: what the process may have, its CUDA context included.
    """

    network: Network
    plan: Plan | None
    attention: str
    batch: int
    settings: StepSettings
    device: str
    cap_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The trial as JSON-ready values."""
        return {**asdict(self), "plan": None if self.plan is None else self.plan.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """The trial that ``to_dict`` wrote."""
        settings = dict(values["settings"])
        capability = settings["capability"]
        settings["capability"] = None if capability is None else tuple(capability)
        settings["checkpointed"] = tuple(settings["checkpointed"])
        plan = values["plan"]
        return cls(
            network=Network(**values["network"]),
            plan=None if plan is None else Plan.of_json(plan),
            attention=values["attention"],
            batch=values["batch"],
            settings=StepSettings(**settings),
            device=values["device"],
            cap_bytes=values["cap_bytes"],
        )


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What was measured.

    Attributes:
        outcome: whether it fitted.
        peak_bytes: most bytes that the allocator had handed out; on CUDA those it had reserved, with
            what was in use outside of it. None where the step did not end.
        reason: why it failed or ran out of memory, in one line.
    """

    outcome: Outcome
    peak_bytes: int | None = None
    reason: str = ""


def run_trial(trial: Trial) -> TrialResult:
    """Run a trial in a process of its own; nothing that it does can end this one."""
    done = subprocess.run(
        [sys.executable, "-m", "aabench.runs.trial"],
        input=json.dumps(trial.to_dict()),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        values = json.loads(done.stdout.splitlines()[-1])
        return TrialResult(Outcome(values["outcome"]), values["peak_bytes"], values["reason"])
    if done.returncode == -9:
        return TrialResult(Outcome.OUT_OF_MEMORY, None, "the system ended the process")
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return TrialResult(Outcome.FAILED, None, f"exit code {done.returncode}: {last}")


def main() -> None:
    """Run the trial on standard input."""
    from aabench.runs.trial_step import try_step

    result = try_step(Trial.from_dict(json.load(sys.stdin)))
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
