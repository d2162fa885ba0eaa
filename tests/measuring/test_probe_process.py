"""The probe process is survived: it hangs, crashes, prints and ends, and the rest is still asked."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from aabench.measuring.machine.examination import NEEDS, THOROUGH, examine
from aabench.measuring.machine.probe_process import PROBE, ProbeProcess

SCRIPT = """
import json, os, signal, subprocess, sys, time
for line in sys.stdin:
    stage = line.split(maxsplit=1)[1].strip()
    if stage == "start a child":
        child = subprocess.Popen(["sleep", "1000"])
        print(json.dumps({"facts": [os.getpid(), child.pid]}), flush=True)
        continue
    if stage == "hang":
        time.sleep(1000)
    if stage == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if stage == "exit":
        print("the driver is unhappy", file=sys.stderr)
        sys.exit(7)
    if stage == "half":
        sys.stdout.write('{"facts"'); sys.stdout.flush()
        os._exit(0)
    print(json.dumps({"facts": [stage, os.getpid()]}), flush=True)
"""


PATIENCE_S = 120
"""For an answer that is certain to come, however busy the machine."""


@pytest.fixture
def probe():
    with ProbeProcess([sys.executable, "-c", SCRIPT]) as process:
        yield process


def test_one_process_answers_stage_after_stage(probe):
    first, second = (probe.ask(stage, PATIENCE_S).facts for stage in ("one", "two three"))
    assert [first[0], second[0]] == ["one", "two three"]
    assert first[1] == second[1] != os.getpid()


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        ("segfault", "it was ended by signal 11 (Segmentation fault)"),
        ("exit", "it ended with exit code 7: the driver is unhappy"),
        ("half", "it ended with exit code 0"),
    ],
)
def test_a_lost_process_is_a_problem_and_the_next_one_answers(probe, stage, problem):
    before = probe.ask("before", PATIENCE_S).facts[1]
    answer = probe.ask(stage, PATIENCE_S)
    assert (answer.facts, answer.problem) == (None, problem)
    name, pid = probe.ask("after", PATIENCE_S).facts
    assert name == "after" and pid != before


def test_a_hanging_stage_is_given_up_with_all_that_it_started(probe):
    processes = probe.ask("start a child", PATIENCE_S).facts
    assert all(is_at_work(pid) for pid in processes)
    answer = probe.ask("hang", 0.5)
    assert answer.problem == "no answer within 0.5 s; it was stopped"
    wait_until_gone(*processes)
    assert probe.ask("after", PATIENCE_S).problem is None


def test_nothing_stays_when_the_context_ends():
    with ProbeProcess([sys.executable, "-c", SCRIPT]) as process:
        pid = process.ask("one", PATIENCE_S).facts[1]
    wait_until_gone(pid)


def is_at_work(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(*pids):
    deadline = time.monotonic() + PATIENCE_S
    while any(is_at_work(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Give the probe process a module of the test's own in place of the real one."""

    def replace_module(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    return replace_module


NO_TORCH = "raise ImportError('libtorch.so: cannot open shared object file')"


def test_a_torch_that_cannot_be_imported_ends_the_questions(broken, tmp_path):
    broken("torch", NO_TORCH)
    seen = examine(tmp_path)
    assert set(seen.answers) == {"nvml", "torch"}
    assert "libtorch.so" in seen.problem("torch")


def test_a_torch_that_crashes_is_named(broken, tmp_path):
    broken("torch", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    seen = examine(tmp_path, thorough=True)
    assert "Segmentation fault" in seen.problem("torch")
    assert set(seen.answers) == {"nvml", "torch"}


def test_an_nvml_that_hangs_is_given_up_and_torch_is_still_asked(broken, tmp_path):
    broken("pynvml", "import time\ndef nvmlInit(): time.sleep(1000)")
    broken("torch", NO_TORCH)
    seen = examine(tmp_path, seconds={"nvml": 2, "torch": PATIENCE_S})
    assert seen.problem("nvml") == "no answer within 2 s; it was stopped"
    assert "libtorch.so" in seen.problem("torch")


def test_what_libraries_print_does_not_reach_the_answers(broken, tmp_path):
    broken("torch", "import os\nprint('{}')\nos.write(1, b'{}\\n')\n" + NO_TORCH)
    assert "libtorch.so" in examine(tmp_path).problem("torch")


def test_a_hanging_probe_ends_by_itself_when_its_parent_is_gone(broken):
    broken("pynvml", "import time\ndef nvmlInit(): time.sleep(1000)")
    process = subprocess.Popen(
        PROBE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    process.communicate(b"0.2 nvml\n", timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGALRM


def test_this_machine_answers_every_stage_in_order(tmp_path):
    asked = []
    seen = examine(tmp_path / "results", started=asked.append)
    assert asked == [stage for stage in NEEDS if stage in asked]
    assert not THOROUGH & set(asked)
    for stage in ("torch", "environment", "cpu", "cpu kernels", "cuda"):
        assert seen.problem(stage) is None
        assert seen.facts(stage)
    assert seen.environment["torch"] == seen.facts("torch")["version"]
    assert not Path(tmp_path / "results").exists()
    json.dumps(seen.answers["environment"].facts)
