"""A sweep on a real Ray cluster of several nodes on this machine: lost nodes, killed drivers, refusals."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from process_presence import is_at_work

from aabench.errors import UsageError
from aabench.runs import ray_cluster, ray_connection
from aabench.runs.executor import OneWorker
from aabench.runs.ray_cluster import RayCluster
from aabench.runs.reading import load_run, write_table
from aabench.runs.request import Request
from aabench.runs.settings import RunSettings
from aabench.runs.sweeping import Sweep, Unobserved

pytest.importorskip("ray", reason="needs Ray: pip install 'aabench[ray]'")

AXES = {
    "in_channels": 8,
    "heads": [1, 3],
    "dk": 4,
    "dv": 4,
    "resolution": [3, 4, 5],
    "attention": "broadcast",
}

SETTLED = [
    *("status", "reason", "notes", "heads", "dk", "dv", "height", "attention", "mode", "key"),
    *("params", "macs", "flops", "flops_forward", "predicted_peak_bytes", "predicted_latency_s"),
    *("predicted_peak_low_bytes", "predicted_peak_high_bytes", "peak_allocated_bytes", "rounds"),
]
"""What does not depend on when and where a case ran."""

FOLDER = Path(__file__).parent

PATIENCE_S = 240
"""For what is certain to come, however busy the machine; below what a test may take."""

AABENCH = [sys.executable, "-m", "aabench"]

HALTS_AFTER_THREE_ROUNDS = """
import time
from aabench.cli.main import main
from aabench.runs.folder import RunFolder

append, written = RunFolder.append, []

def append_and_halt(*arguments):
    written.append(append(*arguments))
    if len(written) == 3:
        time.sleep(1000)
    return written[-1]

RunFolder.append = append_and_halt
main()
"""
"""`aabench`, which goes on with nothing once three rounds are written: it can be looked at and killed."""


@pytest.fixture(scope="module")
def cluster():
    """A head without cores, and two nodes with one core each; a third one joins where it is needed.

    This process stays connected for all tests, so that Ray starts its workers once.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ray_connection.QUIET.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", str(FOLDER))  # the nodes find the tests' attention forms
        # processes on this machine, all of them sound: only a busy machine makes them late
        for limit in ("TRIAL_SECONDS", "SURVEY_SECONDS"):
            patch.setattr(ray_connection, limit, PATIENCE_S)
        patch.setattr(ray_cluster, "PLACING_SECONDS", PATIENCE_S)
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        made.add_node(num_cpus=1)
        made.add_node(num_cpus=1)
        ray = ray_connection.connect(made.address)
        yield made
        ray.shutdown()
        made.shutdown()


class Told(Unobserved):
    """Keeps what it is told, and does something at the n-th start of a task."""

    def __init__(self, at=None, act=None):
        self.places, self.lost_places, self.begun = set(), [], 0
        self.at, self.act = at, act

    def started(self, task):
        self.places.add(task.place)
        self.begun += 1
        if self.begun == self.at:
            self.act()

    def lost(self, place, reason):
        self.lost_places.append(place)


def request(folder, axes=AXES, **settings):
    settings = {"device": "cpu", "seconds_per_case": 0.02, "rounds": 2, **settings}
    return Request.of(None, axes, settings, out=folder)


def swept(wanted, executor, observer=None):
    try:
        Sweep(wanted, executor, observer or Told()).run()
    finally:
        executor.close()
    return write_table(wanted.folder)


def on(cluster, wanted):
    return RayCluster(wanted.settings, wanted.grid.outside_code, address=cluster.address)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    wanted = request(tmp_path_factory.mktemp("one") / "run")
    return swept(wanted, OneWorker(wanted.settings))


def records(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def test_a_killed_driver_is_resumed_and_leaves_no_actors(cluster, one, tmp_path):
    words = ["sweep", "--ray", cluster.address, "--device", "cpu"]
    words += ["--in-channels", "8", "--heads", "1,3", "--dk", "4", "--dv", "4"]
    words += ["--resolution", "3,4,5", "--attention", "broadcast"]
    words += ["--seconds-per-case", "0.02", "--out", "run"]
    rows = tmp_path / "run" / "rows.jsonl"
    halting = [sys.executable, "-c", HALTS_AFTER_THREE_ROUNDS, *words]
    with subprocess.Popen(halting, cwd=tmp_path, stdout=subprocess.DEVNULL) as driver:
        try:
            wait_for(lambda: driver.poll() is not None or lines_in(rows) == 3)
            workers = workers_on(cluster)
            assert workers
        finally:
            driver.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(is_at_work(worker.pid) for worker in workers))
    before = rows.read_text()
    assert before.count("\n") == 3
    done = subprocess.run([*AABENCH, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "going on after" in done.stderr
    ours = ("sweep: ", "at most ", "node ")  # nothing of Ray's own
    assert all(line.startswith(ours) for line in done.stderr.splitlines()), done.stderr
    assert rows.read_text().startswith(before)
    pd.testing.assert_frame_equal(load_run(tmp_path / "run")[SETTLED], one[SETTLED])


def lines_in(path):
    return path.read_text().count("\n") if path.exists() else 0


def workers_on(cluster):
    """The worker processes that the actors of a cluster have started."""
    services = [node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()]
    found = [each for pid in services for each in psutil.Process(pid).children(recursive=True)]
    return [each for each in found if "aabench.runs.worker" in words_of(each)]


def words_of(process):
    """A process's command line; none when it ends while it is looked at."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_that_runs_out_of_memory_is_a_row(cluster, tmp_path):
    wanted = request(
        tmp_path / "run",
        {
            **AXES,
            "heads": 1,
            "resolution": 3,
            "attention": ["broadcast", "faulty_forms:out_of_memory"],
        },
        rounds=1,
    )
    frame = swept(wanted, on(cluster, wanted))
    assert list(frame["status"]) == ["ok", "oom"]
    assert frame["requested_bytes"][1] > 0


# What is refused before anything runs


def refused(cluster, match, **settings):
    crew = RayCluster(RunSettings(**settings), address=cluster.address)
    try:
        with pytest.raises(UsageError, match=match):
            crew.places()
    finally:
        crew.close()


def test_a_cluster_without_cards(cluster):
    refused(cluster, r"has no GPUs; got '. nodes, . CPUs, 0 GPUs'", device="cuda")


class StandIn(RayCluster):
    """The CPU stands in for the cards that Ray gives."""

    card = "cpu"


def test_every_free_card_is_a_place_with_its_number(cluster):
    node = cluster.add_node(num_cpus=2, num_gpus=2)
    cluster.wait_for_nodes(PATIENCE_S)
    crew = StandIn(RunSettings(device="all"), address=cluster.address)
    try:
        host = os.uname().nodename
        assert {place.label for place in crew.places()} == {f"{host}/cuda:0", f"{host}/cuda:1"}
        assert {place.facts.device for place in crew.places()} == {"cpu"}
    finally:
        crew.close()
        cluster.remove_node(node)


def test_other_versions_on_a_node(cluster, monkeypatch):
    here = ray_connection._version_reader()(ray_connection.COMPARED)

    older = {**here, "torch": "2.11.0"}
    monkeypatch.setattr(ray_connection, "_surveyed", lambda ray, nodes: [here, older])
    refused(cluster, r"node .*-2 has another torch than this process; got '2\.11\.0'", device="cpu")


def test_code_that_a_node_cannot_import(cluster):
    crew = RayCluster(RunSettings(device="cpu"), ["no_such:form"], address=cluster.address)
    with pytest.raises(UsageError, match=r"node .*: .*no_such"):
        crew.places()
    crew.close()


@pytest.mark.parametrize("device", ["cuda:1", "cuda:0,cuda:1"])
def test_which_cards_is_for_ray_to_say(device):
    with pytest.raises(UsageError, match="--ray places cases itself"):
        RayCluster(RunSettings(device=device))


# What ends a node comes last: Ray takes a quarter of a minute to see that it is gone


def test_a_node_killed_in_mid_sweep_costs_nothing_but_time(cluster, one, tmp_path):
    extra = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes(PATIENCE_S)
    wanted = request(tmp_path / "run")
    told = Told(at=6, act=lambda: power_off(cluster, extra))
    frame = swept(wanted, on(cluster, wanted), told)
    pd.testing.assert_frame_equal(frame[SETTLED], one[SETTLED])
    assert frame.attrs["complete"]
    host = os.uname().nodename
    assert told.places == {f"{host}-{number}/cpu" for number in (1, 2, 3)}
    assert len(told.lost_places) == 1
    rounds = [(record["key"], record["round"]) for record in records(wanted.folder)]
    assert len(rounds) == len(set(rounds))  # nothing that was done ran again
    assert {record["attempt"] for record in records(wanted.folder)} == {0}
    environment = json.loads((wanted.folder / "environment.json").read_text())
    assert set(environment["places"]) == told.places
    # one core a node, and as many threads as torch takes without Ray
    threads = {place["torch_threads"] for place in environment["places"].values()}
    assert threads == {one.attrs["environment"]["torch_threads"]}


def power_off(cluster, node):
    """End everything on a node at once: left alone, an actor outlives its node by a second or two."""
    service = psutil.Process(node.all_processes["raylet"][0].process.pid)
    processes = service.children(recursive=True)
    cluster.remove_node(node, allow_graceful=False)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
