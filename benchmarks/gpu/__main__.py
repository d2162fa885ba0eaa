"""The command ``python -m benchmarks.gpu``: runs all parts in eight minutes and writes the evidence."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.machine import WANTED, ask_machine, install_wheels, missing_modules
from benchmarks.gpu.part import Part, PartResult, State
from benchmarks.gpu.parts import CARD, REHEARSAL, SWEEPS, planned
from benchmarks.gpu.process import ProcessRunner
from benchmarks.gpu.schedule import run_parts

ROOT = Path(__file__).resolve().parents[2]

SUMMARY_S = 15.0
"""Of the whole time, kept for reading the results and writing the files."""

NO_CARD = "no CUDA device here"


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for.

    Attributes:
        out: the folder that gets the evidence's folder.
        minutes: wall time for everything.
        rehearse: on the CPU, with tiny cases.
        only: the parts to run; empty for all.
        wheels: where packages are that may be missing.
        keep: a folder for the run folders; None to throw them away.
    """

    out: Path
    minutes: float
    rehearse: bool
    only: tuple[str, ...]
    wheels: Path
    keep: Path | None

    @classmethod
    def of(cls, words: Sequence[str]) -> Order:
        """Read the command line."""
        parser = argparse.ArgumentParser(
            prog="python -m benchmarks.gpu",
            description="Check and measure everything on a CUDA machine, and write the evidence.",
        )
        default = os.environ.get("OUT") or ROOT / "results"
        parser.add_argument(
            "--out", type=Path, default=default, help="where it goes (default: $OUT, else results)"
        )
        parser.add_argument("--minutes", type=float, default=8.0, help="for everything")
        parser.add_argument("--rehearse", action="store_true", help="tiny cases on the CPU")
        parser.add_argument("--only", default="", metavar="NAME,…", help="parts to run, not all")
        parser.add_argument(
            "--wheels", type=Path, default=ROOT / "wheels", help="of packages that are missing"
        )
        parser.add_argument("--keep", type=Path, help="keep the run folders here")
        given = parser.parse_args(words)
        if not 0.5 <= given.minutes <= 600:
            parser.error(f"--minutes: got {given.minutes}; allowed: 0.5 to 600")
        only = tuple(name for name in given.only.split(",") if name)
        known = [part.name for part in planned(CARD, Path())]
        unknown = [name for name in only if name not in known]
        if unknown:
            parser.error(f"--only: got {', '.join(unknown)}; allowed: {', '.join(known)}")
        return cls(given.out, given.minutes, given.rehearse, only, given.wheels, given.keep)


def main(words: Sequence[str]) -> int:
    """Run it all; 1 if a part failed or, on a card, a claim was refuted, else 0."""
    begun = time.monotonic()
    order = Order.of(words)
    with _work_folder(order.keep) as work:
        environment = _prepared(order, work)
        machine = {
            **ask_machine(environment),
            "date": time.strftime("%Y-%m-%d"),
            "rehearsal": order.rehearse,
        }
        results = _run(order, work, machine, environment, begun)
        return _concluded(order, work, machine, results)


@contextmanager
def _work_folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()


def _prepared(order: Order, work: Path) -> dict[str, str]:
    """Make what is missing available; returns the environment variables of the parts."""
    site = work / "site"
    missing = missing_modules()
    if missing and install_wheels(order.wheels, site):
        sys.path.insert(0, str(site))
        missing = missing_modules()
    for name in missing:
        _say(f"missing: {name}: {WANTED[name]}")
    paths = [str(ROOT), str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "AABENCH_CALIBRATION": str(work / "calibration.json"),
    }


def _run(
    order: Order, work: Path, machine: dict[str, Any], environment: dict[str, str], begun: float
) -> list[PartResult]:
    parts = planned(REHEARSAL if order.rehearse else CARD, work)
    parts = [part for part in parts if not order.only or part.name in order.only]
    _say(f"{machine['name']}: {len(parts)} parts in {order.minutes:g} minutes")
    if not (machine["has_card"] or order.rehearse):
        _say(f"{NO_CARD}; --rehearse runs tiny cases on the CPU")
        return [PartResult(part, State.NOT_RUN, remark=NO_CARD) for part in parts]
    budget_s = order.minutes * 60 - SUMMARY_S - (time.monotonic() - begun)
    runner = ProcessRunner(work, ROOT, environment)
    return run_parts(parts, budget_s, runner, time.monotonic, _say)


def _concluded(
    order: Order, work: Path, machine: dict[str, Any], results: Sequence[PartResult]
) -> int:
    """Hold the claims against what was measured, write the files, say what came of it."""
    from benchmarks.gpu.claims import Answer, claims
    from benchmarks.gpu.evidence import evidence_folder, write_evidence
    from benchmarks.gpu.measured import Measured
    from benchmarks.gpu.summary import headline, summary

    measured = Measured.of(work, _with_left_out(results, work), SWEEPS)
    found = list(claims(measured))
    text = summary(measured, found, machine, _command(order))
    folder = evidence_folder(
        order.out, machine["name"], machine["date"], rehearsal=not machine["has_card"]
    )
    files = write_evidence(folder, measured, machine, text)
    for claim in found:
        _say(f"{claim.answer.value:9}  {claim.text}: {claim.figures}")
    size = sum(path.stat().st_size for path in files)
    _say(f"{headline(found)}; {len(files)} files, {size / 1024:.0f} KiB, in {folder}")
    has_failed = any(result.state is State.FAILED for result in results)
    is_refuted = any(claim.answer is Answer.REFUTED for claim in found)
    return int(has_failed or (is_refuted and not order.rehearse))


def _with_left_out(results: Sequence[PartResult], work: Path) -> list[PartResult]:
    """The results with those of parts that were not asked for, so that every claim has its part."""
    known = {result.part.name for result in results}
    others: list[Part] = [part for part in planned(CARD, work) if part.name not in known]
    return [*results, *(PartResult(part, State.NOT_RUN, remark="not asked for") for part in others)]


def _command(order: Order) -> str:
    words = ["python -m benchmarks.gpu", f"--minutes {order.minutes:g}"]
    words += ["--rehearse"] if order.rehearse else []
    words += [f"--only {','.join(order.only)}"] if order.only else []
    return " ".join(words)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
