"""The worker as its parent sees it: watched, replaced, ended; and it never outlives its parent."""

import os
import signal
import subprocess
import sys

import pytest

import aabench
from aabench.cases.case import Case, Layer
from aabench.errors import RunError, UsageError
from aabench.runs import post, worker_process
from aabench.runs.executor import InOrder, OneWorker
from aabench.runs.settings import RunSettings
from aabench.runs.task import Task
from aabench.runs.worker_process import WorkerProcess


def task(form: str = "broadcast", batch: int = 1) -> Task:
    layer = Layer(8, 8, 3, 1, 1, 2, 4, 4, "relative", 4, 4)
    return Task(Case(layer, batch, "infer", "fp32", form), 0, "cpu", 0.01, 2, 0)


def started(_task: Task) -> None:
    """Nobody is told."""


def test_a_worker_that_takes_too_much_memory_is_stopped(monkeypatch):
    monkeypatch.setattr(worker_process, "available_bytes", lambda: 300 << 20)
    worker = WorkerProcess("cpu")
    outcome = worker.run(task("faulty_forms:grows"), timeout=250)
    assert outcome.status == "oom"
    assert "bytes resident, above the" in outcome.reason
    assert not worker.alive


def test_one_worker_serves_many_tasks_and_is_replaced_in_time(monkeypatch):
    monkeypatch.setattr(post, "TASKS_PER_WORKER", 3)
    crew = OneWorker(RunSettings(device="cpu"))
    pids = []
    for _, outcome in crew.run(
        InOrder(task(batch=n) for n in range(1, 5)), lambda _: pids.append(pid(crew))
    ):
        assert outcome.status == "ok", outcome.reason
    crew.close()
    # the pid is asked for before the worker of a task stands ready
    assert pids[1] == pids[2]
    assert pids[3] == 0


def test_isolation_gives_every_task_a_worker_of_its_own():
    crew = OneWorker(RunSettings(device="cpu", isolate=True))
    seen = [pid(crew) for _, outcome in crew.run(InOrder([task(), task(batch=2)]), started)]
    assert seen == [0, 0]


def test_a_worker_that_died_between_two_tasks_costs_neither():
    crew = OneWorker(RunSettings(device="cpu"))
    statuses = []
    for _, outcome in crew.run(InOrder([task(), task(batch=2)]), started):
        statuses.append(outcome.status)
        os.kill(crew._post.worker.pid, signal.SIGKILL)  # not pid(crew): 0 would be all of us
        crew._post.worker._process.wait()
    crew.close()
    assert statuses == ["ok", "ok"]


def test_a_post_that_is_stopped_while_its_worker_starts_runs_nothing(monkeypatch):
    """Were the task run all the same, Ctrl-C would wait for it."""
    stopped = post.Post(RunSettings(device="cpu", timeout=5), "cpu")

    class Late(WorkerProcess):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            stopped.stop()

    monkeypatch.setattr(post, "WorkerProcess", Late)
    with pytest.raises(RunError, match="the worker was stopped"):
        stopped.run(task("faulty_forms:hangs"))
    assert stopped.worker.tasks_done == 0
    stopped.close()


def test_a_device_that_is_not_there_is_said_at_once():
    with pytest.raises(UsageError, match=r"--device: .*cuda:99"):
        WorkerProcess("cuda:99")


def test_the_worker_finds_its_own_modules_first(tmp_path):
    (tmp_path / "signal.py").write_text("raise RuntimeError('the wrong one')")
    (tmp_path / "mine.py").write_text("from aabench.layers.attention.broadcast import attend")
    script = (
        "import aabench\n"
        "f = aabench.sweep(in_channels=8, heads=2, dk=4, dv=4, resolution=4, out='o', rounds=1,\n"
        "    device='cpu', seconds_per_case=0.01, attention='mine:attend')\n"
        "print(f.loc[0, 'status'])\n"
    )
    words = [sys.executable, "-P", "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path.parent)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "ok\n", done.stderr


def test_leaks_do_not_reach_the_next_case(tmp_path):
    frame = aabench.sweep(
        in_channels=8,
        heads=2,
        dk=4,
        dv=4,
        resolution=4,
        batch=[1, 2, 3],
        attention=["faulty_forms:leaks", "broadcast"],
        device="cpu",
        seconds_per_case=0.01,
        rounds=1,
        out=tmp_path / "run",
    )
    assert set(frame["status"]) == {"ok"}
    clean = frame[frame["attention"] == "broadcast"]
    assert (clean["peak_allocated_bytes"] < 1 << 20).all()  # each leak is a mebibyte


def pid(crew: OneWorker) -> int:
    return 0 if crew._post.worker is None else crew._post.worker.pid
