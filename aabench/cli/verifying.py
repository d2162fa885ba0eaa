"""Verifying: the boundary cases of a fit run on this machine's device, and held against their verdicts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aabench.errors import UsageError
from aabench.fitting.verdict import Verdict
from aabench.report.lists import write_list
from aabench.report.quantities import bytes_text
from aabench.runs.trial import Outcome, Trial, TrialResult, run_trial

if TYPE_CHECKING:
    from aabench.fitting.boundary_cases import BoundaryCase
    from aabench.fitting.fit import Fit

EXPECTED = {Verdict.FITS: Outcome.FITTED, Verdict.DOES_NOT_FIT: Outcome.OUT_OF_MEMORY}


@dataclass(frozen=True, slots=True)
class Verified:
    """One verdict beside what happened.

    Attributes:
        case: the verdict.
        result: what was measured; None where it was not run.
        reason: why it was not run.
    """

    case: BoundaryCase
    result: TrialResult | None
    reason: str = ""

    @property
    def is_right(self) -> bool | None:
        """Whether the verdict was right; None where it said nothing or nothing was seen."""
        expected = EXPECTED.get(self.case.judgement.verdict)
        if self.result is None or expected is None or self.result.outcome is Outcome.FAILED:
            return None
        return self.result.outcome is expected


def verify(found: Fit, device: str) -> list[Verified]:
    """Run the boundary cases of a fit, one process each.

    Raises:
        UsageError: the network is not one of the catalogue, or it was judged for another device.
    """
    from aabench.fitting.boundary_cases import boundary_cases

    if found.device not in ("cpu", "cuda") and device == "cpu":
        raise UsageError(
            "--verify runs on this machine's device, and the verdict is on a card that is not here",
            got=found.device,
            instead="leave --gpu out, or --verify",
        )
    cases = boundary_cases(found)
    verified = []
    for number, case in enumerate(cases, 1):
        print(f"trying {number} of {len(cases)}: {case.what}", file=sys.stderr)
        verified.append(_verified(found, case, device))
    return verified


def _verified(found: Fit, case: BoundaryCase, device: str) -> Verified:
    from aabench.measuring.available_memory import available_bytes

    room = available_bytes()
    if device == "cpu" and case.judgement.need.high_bytes > room:
        needs = bytes_text(case.judgement.need.high_bytes)
        return Verified(case, None, f"may need {needs}, and {bytes_text(room)} are free")
    return Verified(case, run_trial(_trial(found, case, device)))


def _trial(found: Fit, case: BoundaryCase, device: str) -> Trial:
    from aabench.fitting.source import NamedNetwork

    subject = case.subject
    source = subject.source
    if not isinstance(source, NamedNetwork):
        raise UsageError("only networks of the catalogue can be verified", got=source.name)
    plan = found.plan_for(subject)
    network = source.network if plan is None else replace(source.network.plain())
    return Trial(
        network=network,
        plan=plan,
        attention=subject.attention,
        batch=subject.batch,
        settings=subject.settings,
        device=device,
        cap_bytes=found.budget.usable_bytes,
    )


def show_verified(verified: Sequence[Verified], *, capped: bool) -> None:
    """Print verdicts beside outcomes, and how many were right."""
    head = ("case", "verdict", "outcome", "predicted", "measured", "")
    rows = [_row(each) for each in verified]
    print()
    write_list(head, rows, sys.stdout)
    right = sum(each.is_right is True for each in verified)
    wrong = sum(each.is_right is False for each in verified)
    print(f"{right} verdicts right, {wrong} wrong, {len(verified) - right - wrong} undecided")
    if capped:
        print(
            "The allocator was capped on this device: that tests the rules for it at this size, and is "
            "no evidence about another card's kernels."
        )


def _row(each: Verified) -> tuple[str, ...]:
    result, judgement = each.result, each.case.judgement
    remark = {True: "right", False: "WRONG", None: ""}[each.is_right]
    return (
        each.case.what,
        judgement.verdict.value,
        "not run" if result is None else result.outcome.value,
        bytes_text(judgement.need.peak_bytes),
        bytes_text(None if result is None else result.peak_bytes),
        "; ".join(filter(None, (remark, each.reason or (result.reason if result else "")))),
    )
