"""The run on a card: its schedule by an injected clock and runner, and its small end to end on the CPU."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from aabench.cases.columns import DTYPES
from aabench.cases.grid import Grid
from aabench.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks is no part of the package

from benchmarks.gpu.claims import Answer, claims  # noqa: E402
from benchmarks.gpu.evidence import MOST_BYTES, evidence_folder, write_evidence  # noqa: E402
from benchmarks.gpu.measured import Measured  # noqa: E402
from benchmarks.gpu.part import Ending, Part, PartResult, State  # noqa: E402
from benchmarks.gpu.parts import CARD, REHEARSAL, SWEEPS, planned  # noqa: E402
from benchmarks.gpu.process import ProcessRunner  # noqa: E402
from benchmarks.gpu.schedule import allotment, run_parts  # noqa: E402

seconds = st.floats(0.01, 1000, allow_nan=False)


class Day:
    """A clock that only the parts move, and a runner that takes and does what it is told."""

    def __init__(self, takes, endings=None):
        self.now = 100.0
        self.takes, self.endings = takes, endings or {}
        self.limits = {}

    def clock(self):
        return self.now

    def run(self, part, limit):
        self.limits[part.name] = limit
        taken = self.takes.get(part.name, part.seconds)
        self.now += min(taken, limit)
        ending = self.endings.get(part.name, Ending(0))
        if isinstance(ending, Exception):
            raise ending
        return Ending(None) if taken > limit else ending


def run_all(parts, budget, takes=None, endings=None):
    day, said = Day(takes or {}, endings), []
    results = run_parts(parts, budget, day.run, day.clock, said.append)
    return {result.part.name: result for result in results}, day, said


def parts_of(*promised, **changes):
    return [Part(f"p{place}", "", (), each, 1.0, **changes) for place, each in enumerate(promised)]


@settings(deadline=None, max_examples=100)
@given(seconds, seconds, st.floats(0, 1000))
def test_an_allotment_never_takes_what_later_parts_are_promised(remaining, own, later):
    limit = allotment(remaining, own, later)
    assert 0 <= limit <= remaining * (1 + 1e-12)
    if own + later <= remaining:
        assert limit >= own * (1 - 1e-9) - 1e-9 and remaining - limit >= later - 1e-6


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=8), st.floats(1, 500))
def test_the_whole_never_takes_longer_than_its_budget(each, budget):
    parts = parts_of(*(promised for promised, _ in each))
    takes = {part.name: taken for part, (_, taken) in zip(parts, each, strict=True)}
    results, day, _ = run_all(parts, budget, takes)
    assert day.now - 100 <= budget * (1 + 1e-9)
    assert len(results) == len(parts)


def test_what_is_left_over_goes_to_the_next_and_overrunning_takes_from_nobody():
    results, day, _ = run_all(parts_of(10, 10, 10), 30, {"p0": 2, "p1": 500})
    assert day.limits["p0"] == 10 and day.limits["p1"] == 18 and day.limits["p2"] == 10
    assert [result.state for result in results.values()] == [State.DONE, State.STOPPED, State.DONE]


def test_promises_shrink_alike_where_there_is_too_little_time():
    _, day, _ = run_all(parts_of(30, 10), 20)
    assert day.limits == {"p0": 15, "p1": 5}


def test_one_part_that_fails_does_not_take_the_others_with_it():
    endings = {"p0": Ending(1, "it broke"), "p1": OSError("no such program"), "p2": Ending(3)}
    parts = [
        *parts_of(1, 1),
        Part("p2", "", (), 1, 1, good_codes=(0, 3)),
        *parts_of(1, 1, 1, 1)[3:],
    ]
    results, _, said = run_all(parts, 100, endings=endings)
    assert [result.state for result in results.values()] == [
        *(State.FAILED, State.FAILED),
        *(State.DONE, State.DONE),
    ]
    assert results["p0"].remark == "exit code 1: it broke"
    assert "no such program" in results["p1"].remark
    assert any("it broke" in line for line in said)


def test_a_part_is_not_run_without_what_it_needs_or_without_time():
    parts = [*parts_of(1), Part("after", "", (), 1, 1, needs=("p0",))]
    results, _, _ = run_all(parts, 100, endings={"p0": Ending(1)})
    assert results["after"].state is State.NOT_RUN and results["after"].remark == "it needs p0"
    results, _, _ = run_all([*parts_of(1), Part("long", "", (), 9, 9)], 5)
    assert results["long"].state is State.NOT_RUN and "it needs 9" in results["long"].remark


def test_the_parts_fit_into_eight_minutes_and_know_each_other():
    for size in (CARD, REHEARSAL):
        parts = planned(size, Path("work"))
        names = [part.name for part in parts]
        assert sum(part.seconds for part in parts) <= 8 * 60 - 15
        assert len(set(names)) == len(names) and set(SWEEPS) <= set(names)
        for part in parts:
            assert set(part.needs) <= set(names[: names.index(part.name)])


def test_every_sweep_is_one_that_aabench_takes(tmp_path, monkeypatch):
    """The command lines are read and their grids made; nothing is planned for a device or run."""
    requests = []
    monkeypatch.setattr("aabench.cli.planning.show_plan", lambda each, _: requests.append(each))
    sweeps = [
        part
        for size in (CARD, REHEARSAL)
        for part in planned(size, tmp_path)
        if part.words[:2] == ("aabench", "sweep")
    ]
    for part in sweeps:
        done = CliRunner().invoke(app, [*part.words[1:], "--dry-run"])
        assert done.exit_code == 0, (part.name, done.output, done.exception)
    assert len(requests) == len(sweeps) == 2 * len(SWEEPS)
    for part, request in zip(sweeps, requests, strict=True):
        assert not any(entry.problem for entry in request.grid.entries()), part.name
        assert request.folder == tmp_path / part.name


class Overdue(subprocess.Popen):
    """A process whose time is over as soon as it has begun, on however busy a machine."""

    waited = ()

    def wait(self, timeout=None):
        if timeout is None:
            return super().wait()
        self.waited += (timeout,)
        if len(self.waited) == 1:
            while not Path(self.args[-1]).exists():
                time.sleep(0.01)
            raise subprocess.TimeoutExpired(self.args, timeout)
        assert self.waited == pytest.approx((3.2, 0.8))  # the grace is of the limit
        return super().wait()


def test_a_command_over_its_time_is_interrupted_and_leaves_its_output(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(
        "import pathlib, signal, sys, time\nprint('begun', flush=True)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may have it ignored
        "try:\n    pathlib.Path(sys.argv[1]).touch()\n    time.sleep(1000)\n"
        "except KeyboardInterrupt:\n    print('rows kept', flush=True)\n    sys.exit(130)\n"
    )
    runner = ProcessRunner(tmp_path, tmp_path, os.environ, grace_s=3)
    monkeypatch.setattr(subprocess, "Popen", Overdue)
    assert runner(Part("slow", "", ("slow", str(tmp_path / "begun")), 1), 4.0).code is None
    assert (tmp_path / "slow.out").read_text().split("\n")[:2] == ["begun", "rows kept"]


def test_a_command_that_does_not_hear_its_interrupt_is_killed(tmp_path):
    (tmp_path / "deaf.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(1000)\n"
    )
    runner = ProcessRunner(tmp_path, tmp_path, os.environ)
    assert runner(Part("deaf", "", ("deaf",), 1), 0.5).code is None


def test_a_command_that_ends_says_how(tmp_path):
    (tmp_path / "bad.py").write_text("import sys\nsys.exit('what went wrong')\n")
    runner = ProcessRunner(tmp_path, tmp_path, os.environ)
    assert runner(Part("bad", "", ("bad",), 1), 250.0) == Ending(1, "what went wrong")


def measured(tmp_path, rows, results=(), environment=None):
    frame = pd.DataFrame.from_records(rows, columns=[*DTYPES, "part"]).astype(DTYPES)
    parts = {part.name: PartResult(part, State.DONE) for part in planned(CARD, tmp_path)}
    parts |= {result.part.name: result for result in results}
    return Measured(tmp_path, list(parts.values()), frame, environment or {}, [])


def answers(found):
    return {claim.text: claim for claim in claims(found)}


def claim(found, clue):
    (only,) = [each for text, each in answers(found).items() if clue in text]
    return only


def row(**changes):
    return {
        **{"status": "ok", "part": "exact", "layer": "augmented", "height": 14, "width": 14},
        **{"batch": 4, "mode": "infer", "attention": "blocked", "precision": "fp32"},
        **{"check_error": 1e-6, "check_bound": 1e-5, "compile": False, "prediction_basis": "x"},
        **changes,
    }


def test_without_results_nothing_is_proven(tmp_path):
    nothing = [
        PartResult(part, State.NOT_RUN, remark="no card") for part in planned(CARD, tmp_path)
    ]
    assert {each.answer for each in claims(measured(tmp_path, [], nothing))} == {Answer.OPEN}


def test_every_form_and_format_must_have_run(tmp_path):
    rows = [row(precision=each) for each in ("fp32", "bf16", "fp16")]
    assert claim(measured(tmp_path, rows), "float64").answer is Answer.PROVEN
    open_claim = claim(measured(tmp_path, rows[:2]), "float64")
    assert open_claim.answer is Answer.OPEN and "blocked fp16" in open_claim.figures
    wrong = [*rows, row(part="forms", status="wrong")]
    assert claim(measured(tmp_path, wrong), "float64").answer is Answer.REFUTED


def test_peaks_are_judged_by_their_bands(tmp_path):
    def peaks(highs):
        return [
            row(
                peak_allocated_bytes=100,
                predicted_peak_low_bytes=90,
                predicted_peak_high_bytes=high,
                peak_error=0.01,
                step_peak_error=0.02,
            )
            for high in highs
        ]

    assert claim(measured(tmp_path, peaks([110] * 20)), "predicted band").answer is Answer.PROVEN
    refuted = claim(measured(tmp_path, peaks([110] * 18 + [99] * 2)), "predicted band")
    assert refuted.answer is Answer.REFUTED and "90% within" in refuted.figures


def test_repetition_fit_tests_and_recovery_are_read_from_what_the_parts_left(tmp_path):
    cases = [{"latency_ratio": 1 + each} for each in (0.001, -0.015, 0.5)]
    values = {"cases": cases, "verdicts": {"same": 2, "slower": 1}}
    (tmp_path / "compare.out").write_text(json.dumps(values))
    (tmp_path / "fit.out").write_text("…\n3 verdicts right, 0 wrong, 1 undecided\n")
    (tmp_path / "tests.out").write_text("9 passed, 1 skipped, 700 deselected in 3.00s\n")
    rows = [row(part="oom", status="oom"), row(part="oom", height=8, rounds=2)]
    found = measured(tmp_path, rows)
    assert (
        claim(found, "twice").answer is Answer.PROVEN and "1.50%" in claim(found, "twice").figures
    )
    for clue in ("Verdicts of fit", "tests marked gpu", "out of memory"):
        assert claim(found, clue).answer is Answer.PROVEN, clue
    (tmp_path / "fit.out").write_text("2 verdicts right, 1 wrong, 0 undecided\n")
    (tmp_path / "tests.out").write_text("8 passed, 1 failed in 3.00s\n")
    cases[0]["latency_ratio"] = 1.03
    (tmp_path / "compare.out").write_text(json.dumps(values))
    found = measured(tmp_path, rows[:1])
    for clue in ("twice", "Verdicts of fit", "tests marked gpu", "out of memory"):
        assert claim(found, clue).answer is Answer.REFUTED, clue


def test_kernels_are_held_against_the_table_of_the_card(tmp_path):
    axes = {
        "in_channels": 64,
        "heads": 2,
        "dk": 32,
        "dv": 32,
        "resolution": 14,
        "precision": "bf16",
    }
    grid = Grid.of({**axes, "attention": ["materialized", "factored"]})
    cases = [entry.case for entry in grid.entries()]
    (tmp_path / "forms").mkdir()
    lines = [json.dumps({"key": case.key, "case": case.to_dict()}) + "\n" for case in cases]
    (tmp_path / "forms" / "rows.jsonl").write_text("".join(lines) + '{"key": "cut o')
    hopper = {"device": {"capability": [9, 0]}}

    def found(kernel):
        kernels = {"materialized": "matmul", "factored": kernel}
        rows = [
            row(
                part="forms", key=case.key, attention=case.attention, kernel=kernels[case.attention]
            )
            for case in cases
        ]
        return claim(measured(tmp_path, rows, environment=hopper), "rule table")

    assert found("cudnn").answer is Answer.PROVEN
    assert found("math").answer is Answer.REFUTED
    assert "the table says cudnn" in found("math").figures


def test_evidence_stays_small_and_never_overwrites(tmp_path):
    rows = [row(reason="x" * 2000, key=f"c{place}") for place in range(1000)]
    first = evidence_folder(tmp_path, "NVIDIA H200", "2026-01-02", rehearsal=False)
    second = evidence_folder(tmp_path, "NVIDIA H200", "2026-01-02", rehearsal=False)
    assert (first.name, second.name) == (
        "gpu-nvidia-h200-2026-01-02",
        "gpu-nvidia-h200-2026-01-02-2",
    )
    files = write_evidence(first, measured(tmp_path, rows), {"name": "H200"}, "# summary\n")
    assert len(files) <= 8 and sum(path.stat().st_size for path in files) <= MOST_BYTES
    told = re.search(r"(\d+) of 1000 rows are not in rows.csv", (first / "summary.md").read_text())
    assert len(pd.read_csv(first / "rows.csv")) == 1000 - int(told[1])


def command(*words, tmp_path):
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    variables.pop("OUT", None)
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path), *words],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_without_a_card_every_part_is_marked_as_not_run(tmp_path):
    done = command(tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    text = (folder / "summary.md").read_text()
    assert text.count("| not run | 0 |") == len(planned(CARD, Path()))
    assert "0 proven, 0 REFUTED, 14 not shown" in text


def test_a_rehearsal_of_one_part_leaves_rows_and_a_summary(tmp_path):
    done = command("--rehearse", "--only", "oom", "--minutes", "4", tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    frame = pd.read_csv(folder / "rows.csv")
    assert set(frame["part"]) == {"oom"} and set(frame["status"]) == {"ok", "skipped"}
    text = (folder / "summary.md").read_text()
    assert "A rehearsal on the CPU" in text and "not asked for" in text
    assert len(list(folder.iterdir())) <= 8


@pytest.mark.parametrize("words", [("--minutes", "0"), ("--only", "nothing")])
def test_nonsense_is_refused(words, tmp_path):
    done = command(*words, tmp_path=tmp_path)
    assert done.returncode == 2 and "allowed" in done.stderr
    assert not list(tmp_path.iterdir())
