"""Several workers at once: the same rows as from one, each comparison on one device, nothing lost.

The CPU stands in for cards: two names for it are two places, with a worker each.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from process_presence import is_at_work

from aabench.cases.case import Case, Layer
from aabench.cases.grid import Grid
from aabench.errors import RunError, UsageError
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.executor import InOrder, OneWorker
from aabench.runs.place import Place
from aabench.runs.places_choice import check_one_choice
from aabench.runs.reading import load_run, write_table
from aabench.runs.request import Request
from aabench.runs.run_environment import devices_in, environment_of, settle_environment
from aabench.runs.settings import RunSettings
from aabench.runs.several_workers import SeveralWorkers
from aabench.runs.sweeping import Sweep, Unobserved
from aabench.runs.task import Task

AXES = {
    "in_channels": 8,
    "heads": [1, 3],
    "dk": 4,
    "dv": 4,
    "resolution": [3, 4],
    "attention": ["broadcast", "blocked"],
}

CARDS = {"card-a": "cpu", "card-b": "cpu"}

SETTLED = [
    *("status", "reason", "notes", "heads", "dk", "dv", "height", "attention", "mode", "key"),
    *("params", "macs", "flops", "flops_forward", "predicted_peak_bytes", "predicted_latency_s"),
    *("predicted_peak_low_bytes", "predicted_peak_high_bytes", "peak_allocated_bytes", "rounds"),
]
"""What does not depend on when and where a case ran."""


class Told(Unobserved):
    """Keeps what it is told."""

    def __init__(self):
        self.places, self.messages = set(), []

    def started(self, task):
        self.places.add(task.place)

    def lost(self, place, reason):
        self.messages.append(f"{place} lost: {reason}")

    def message(self, text):
        self.messages.append(text)


def request(folder, axes=AXES, **settings):
    settings = {"device": "cpu", "seconds_per_case": 0.02, "rounds": 2, **settings}
    return Request.of(None, axes, settings, out=folder)


def swept(wanted, executor, observer=None):
    try:
        Sweep(wanted, executor, observer or Told()).run()
    finally:
        executor.close()
    return write_table(wanted.folder)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    wanted = request(tmp_path_factory.mktemp("one") / "run")
    return swept(wanted, OneWorker(wanted.settings))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    wanted = request(tmp_path_factory.mktemp("two") / "run")
    told = Told()
    frame = swept(wanted, SeveralWorkers(wanted.settings, devices=CARDS), told)
    assert told.places == {"card-a", "card-b"}
    return frame


def test_the_rows_are_those_of_one_worker(one, two):
    pd.testing.assert_frame_equal(one[SETTLED], two[SETTLED])
    assert two.attrs["complete"]
    assert set(two["device"].dropna()) == {"card-a", "card-b"}
    assert two["device_name"].nunique() == 1


def test_what_is_compared_ran_on_one_device(two):
    ran = two[two["status"] == "ok"]
    # the convolution depends on the resolution alone here, and all heads and forms are compared with it
    assert (ran.groupby("height")["device"].nunique() == 1).all()
    records = [
        json.loads(line)
        for line in Path(two.attrs["folder"], "rows.jsonl").read_text().splitlines()
    ]
    homes = {}
    for record in records:
        assert homes.setdefault(record["key"], record["device"]) == record["device"]
    assert not two["warnings"].fillna("").str.contains("ran on").any()


def test_every_place_is_on_the_record(two):
    environment = json.loads(Path(two.attrs["folder"], "environment.json").read_text())
    assert set(environment["places"]) == {"card-a", "card-b"}
    assert environment["places"]["card-a"]["torch"] == environment["torch"]
    assert two.attrs["device"] == f"2 x {environment['device']['name']}"


def test_a_run_that_was_cut_short_goes_on_at_the_same_places(tmp_path, two):
    wanted = request(tmp_path / "run")

    class Impatient(Unobserved):
        seen = 0

        def finished(self, task, outcome):
            self.seen += 1
            if self.seen == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(wanted, SeveralWorkers(wanted.settings, devices=CARDS), Impatient())
    begun = homes_of(wanted.folder)
    frame = swept(wanted, SeveralWorkers(wanted.settings, devices=CARDS))
    pd.testing.assert_frame_equal(frame[SETTLED], two[SETTLED])
    assert begun.items() <= homes_of(wanted.folder).items()


def homes_of(folder):
    lines = (folder / "rows.jsonl").read_text().splitlines()
    return {record["key"]: record["device"] for record in map(json.loads, lines)}


def test_a_case_that_kills_its_worker_disturbs_nobody(tmp_path):
    wanted = request(
        tmp_path / "run",
        {**AXES, "heads": 1, "attention": ["broadcast", "faulty_forms:killed"]},
        rounds=1,
    )
    frame = swept(wanted, SeveralWorkers(wanted.settings, devices=CARDS))
    statuses = frame.groupby("attention")["status"].unique().map(list).to_dict()
    assert statuses == {"broadcast": ["ok"], "faulty_forms:killed": ["crashed"]}


def test_closing_ends_workers_that_hang():
    crew = SeveralWorkers(RunSettings(device="cpu"), devices=CARDS)
    layer = Layer(8, 8, 3, 1, 1, 2, 4, 4, "relative", 4, 4)
    tasks = [
        Task(Case(layer, n, "infer", "fp32", "faulty_forms:hangs"), 0, "cpu", 0.01, 2, 0)
        for n in (1, 2)
    ]
    begun = []

    def started(task):
        begun.append(task)
        if len(begun) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(crew.run(InOrder(tasks), started))
    pids = [station._post.worker.pid for station in crew._stations]
    start = time.monotonic()
    crew.close()
    assert time.monotonic() - start < 120  # they would hang for longer than this test may
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_place_whose_worker_cannot_start_again_is_given_up(monkeypatch, tmp_path):
    wanted = request(tmp_path / "run", rounds=1)
    crew = SeveralWorkers(wanted.settings, devices=CARDS)
    crew.places()
    gone = crew._stations[0]._post

    def unplugged(task):
        raise RunError("the card fell off the bus")

    monkeypatch.setattr(gone, "run", unplugged)
    told = Told()
    frame = swept(wanted, crew, told)
    assert set(frame["status"]) == {"ok", "invalid"}
    assert "card-a lost: the card fell off the bus" in told.messages
    assert set(frame["device"].dropna()) == {"card-b"}


def test_fewer_comparisons_than_devices_are_said(tmp_path):
    wanted = request(tmp_path / "run", {**AXES, "resolution": 4, "attention": "blocked"}, rounds=1)
    told = Told()
    swept(wanted, SeveralWorkers(wanted.settings, devices=CARDS), told)
    assert told.messages == [
        "at most 1 of 2 devices have something to do: cases that are compared with each other stay on one "
        "device"
    ]


def test_a_killed_sweep_takes_its_workers_along(tmp_path):
    script = (
        "import sys\n"
        "from aabench.runs.request import Request\n"
        "from aabench.runs.several_workers import SeveralWorkers\n"
        "from aabench.runs.sweeping import Sweep, Unobserved\n"
        "wanted = Request.of(None, {'in_channels': 8, 'heads': 1, 'dk': 4, 'dv': 4,\n"
        "    'resolution': [4, 5], 'attention': 'faulty_forms:hangs'}, {'device': 'cpu'}, out='r')\n"
        "crew = SeveralWorkers(wanted.settings, wanted.grid.outside_code, {'a': 'cpu', 'b': 'cpu'})\n"
        "crew.places()\n"
        "print(*(s._post.worker.pid for s in crew._stations), flush=True)\n"
        "Sweep(wanted, crew, Unobserved()).run()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 120
    while any(is_at_work(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


# What is refused before anything runs


def card(label, name="T4", capability=(7, 5), **environment):
    return Place(label, DeviceFacts("cuda:0", name, capability), {"torch": "2.15.0", **environment})


@pytest.mark.parametrize(
    ("device", "clue"),
    [
        ("all", "this machine has no CUDA device"),
        ("cuda:0,cuda:1", "no CUDA device"),
    ],
)
def test_devices_that_are_not_there(device, clue):
    crew = SeveralWorkers(RunSettings(device=device))
    with pytest.raises(UsageError, match=clue):
        crew.places()
    crew.close()


@pytest.mark.parametrize(
    ("device", "clue"),
    [
        ("cuda:1,cuda:1", "listed twice"),
        ("cpu,cuda:0", "only CUDA devices can be listed"),
        ("cpu,cpu", "only CUDA devices can be listed"),
        ("cuda,cuda:1", "unknown device"),
        ("cuda:0,", "unknown device"),
    ],
)
def test_lists_of_devices_that_make_no_sense(device, clue):
    with pytest.raises(UsageError, match=clue):
        RunSettings(device=device)


def test_auto_that_means_two_things_is_refused_with_the_forms():
    grid = Grid.of({"in_channels": 64, "heads": 4, "precision": "bf16", "resolution": 14})
    old, new = card("cuda:0"), card("cuda:1", "H100", (9, 0))
    with pytest.raises(UsageError, match=r"blocked on T4.*factored on H100.*--attention blocked"):
        check_one_choice(grid, [old, new])
    check_one_choice(grid, [new, new])
    named = Grid.of({"in_channels": 64, "heads": 4, "precision": "bf16", "attention": "blocked"})
    check_one_choice(named, [old, new])
    network = Grid.of({"network": "aa-debug-resnet", "precision": "bf16"})
    with pytest.raises(UsageError, match="different forms"):
        check_one_choice(network, [old, new])
    check_one_choice(Grid.of({"network": "aa-debug-resnet"}), [old, new])


class Stored:
    """A run folder that holds an environment and nothing else."""

    path = Path("results/mine")

    def __init__(self, environment=None):
        self.stored = environment

    def environment(self):
        return self.stored

    def write_environment(self, environment):
        self.stored = environment


def test_a_place_that_joins_needs_the_same_software_and_one_that_was_there_the_same_machine():
    folder = Stored()
    settle_environment(folder, [card("a", cpu="Xeon"), card("b", cpu="Xeon")])
    settle_environment(folder, [card("c", "H100", (9, 0), cpu="EPYC")])
    assert set(folder.stored["places"]) == {"a", "b", "c"}
    assert devices_in(folder.stored) == "2 x T4, H100"
    with pytest.raises(UsageError, match=r"torch 2\.11\.0 on d, 2\.15\.0 in the run"):
        settle_environment(folder, [card("d", torch="2.11.0")])
    with pytest.raises(UsageError, match="CPU EPYC here, Xeon in the run"):
        settle_environment(folder, [card("b", cpu="EPYC")])


def test_one_place_is_stored_as_ever():
    place = card("cuda:0", cpu="Xeon")
    assert environment_of([place]) == {
        "device": {"device": "cuda:0", "name": "T4", "capability": (7, 5)},
        "torch": "2.15.0",
        "cpu": "Xeon",
    }


def test_rows_of_a_run_before_places_had_names_are_read(one):
    folder = Path(one.attrs["folder"])
    (folder / "results.sealed").unlink()
    rows = folder / "rows.jsonl"
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    for line in lines:
        del line["figures"]["device_name"]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    frame = load_run(folder)
    pd.testing.assert_frame_equal(frame[SETTLED], one[SETTLED])
    assert frame.attrs["complete"]
    assert frame["device_name"].isna().all()
