"""Sweeping with an executor that makes figures up: order, resume, refusals, and what is never lost."""

import shutil
import subprocess

import pandas as pd
import pytest

from aabench.errors import RunError, UsageError
from aabench.runs import post, skipping
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.executor import OneWorker
from aabench.runs.lock import FolderLock
from aabench.runs.place import Place
from aabench.runs.reading import load_run, write_table
from aabench.runs.request import Request
from aabench.runs.sweeping import Sweep, Unobserved
from aabench.runs.task import Outcome

AXES = {"in_channels": 16, "heads": [1, 2], "dk": 4, "dv": 4, "resolution": [4, 8]}

ENVIRONMENT = {"torch": "2.15.0", "cpu": "a fine one", "usable_cores": 2}


class MadeUp:
    """An executor without processes; fails where it is told to."""

    def __init__(self, *, environment=None, outcomes=None, fails_after=None):
        self.environment = environment or ENVIRONMENT
        self.outcomes = outcomes or {}
        self.fails_after = fails_after
        self.tasks = []

    def places(self):
        return [Place("cpu", DeviceFacts("cpu", "a fine one"), self.environment)]

    def run(self, tasks, started):
        (place,) = self.places()
        while (task := tasks.take(place)) is not None:
            if self.fails_after is not None and len(self.tasks) >= self.fails_after:
                raise RunError("the device is gone")
            started(task)
            self.tasks.append(task)
            yield task, self.outcomes.get(task.case.layer.heads, self._ok(task))

    def close(self):
        pass

    @staticmethod
    def _ok(task):
        samples = [0.001 * (1 + task.round / 100)] * 6
        return Outcome("ok", figures={"params": 1}, samples_s=samples, device="cpu")


class MadeUpWorker:
    """A worker without a process, that runs small layers alone."""

    alive, tasks_done = True, 0

    def __init__(self, device, outside_code):
        facts = {"device": device, "name": "a fine one", "capability": None}
        self.greeting = {"device": facts, "environment": ENVIRONMENT}

    def run(self, task, timeout):
        assert task.case.layer.height == 4
        return MadeUp._ok(task)

    def kill(self):
        pass


def request(folder, *, axes=AXES, **changes):
    settings = {"device": "cpu", "rounds": changes.pop("rounds", 2), "seed": changes.pop("seed", 0)}
    return Request.of(None, axes, settings, out=folder / "run", **changes)


def run(made, wanted):
    Sweep(wanted, made, Unobserved()).run()
    return write_table(wanted.folder)


def names(tasks):
    return [(task.round, task.case.key) for task in tasks]


def test_every_case_once_a_round_baselines_included(tmp_path):
    made = MadeUp()
    frame = run(made, request(tmp_path))
    # four layers, and a plain convolution for each of the two resolutions
    assert len(made.tasks) == 2 * (4 + 2)
    assert len(set(names(made.tasks))) == len(made.tasks)
    assert [task.round for task in made.tasks] == [0] * 6 + [1] * 6
    assert list(frame["status"]) == ["ok"] * 4
    assert list(frame["rounds"]) == [2] * 4
    assert list(frame["samples"]) == [12] * 4
    assert frame["round_drift"].tolist() == pytest.approx([0.01] * 4)
    assert frame["latency_ratio"].tolist() == pytest.approx([1.0] * 4)


def test_the_order_is_shuffled_by_the_seed_and_differs_between_rounds(tmp_path):
    axes = {**AXES, "resolution": "2:20"}
    orders = []
    for number, seed in enumerate((0, 0, 1)):
        made = MadeUp()
        run(made, request(tmp_path / str(number), axes=axes, seed=seed))
        orders.append([task.case.key for task in made.tasks])
    first, same, other = orders
    half = len(first) // 2
    assert first == same
    assert first != other
    assert first[:half] != first[half:]
    assert sorted(first[:half]) == sorted(first[half:])


def test_a_stopped_sweep_goes_on_with_exactly_the_rest(tmp_path):
    whole = MadeUp()
    run(whole, request(tmp_path / "whole"))
    for stop in range(12):
        folder = tmp_path / str(stop)
        early = MadeUp(fails_after=stop)
        with pytest.raises(RunError, match="the device is gone"):
            run(early, request(folder))
        late = MadeUp()
        frame = run(late, request(folder))
        assert names(early.tasks) + names(late.tasks) == names(whole.tasks)
        pd.testing.assert_frame_equal(frame, load_run(tmp_path / "whole" / "run"))


def test_a_complete_run_measures_nothing(tmp_path):
    run(MadeUp(), request(tmp_path))
    again = MadeUp()
    run(again, request(tmp_path))
    assert again.tasks == []


def test_again_measures_everything_anew(tmp_path):
    run(MadeUp(), request(tmp_path))
    made = MadeUp()
    run(made, request(tmp_path, again=True))
    assert len(made.tasks) == 12


def test_a_failure_is_not_tried_in_later_rounds_but_retried_when_asked(tmp_path):
    broken = MadeUp(outcomes={2: Outcome("crashed", "the worker died of SIGSEGV", device="cpu")})
    frame = run(broken, request(tmp_path))
    assert sum(task.case.layer.heads == 2 for task in broken.tasks) == 2
    assert list(frame["status"]) == ["ok", "ok", "crashed", "crashed"]
    assert run(MadeUp(), request(tmp_path))["status"].tolist().count("crashed") == 2
    made = MadeUp()
    assert list(run(made, request(tmp_path, retry=True))["status"]) == ["ok"] * 4
    assert {task.attempt for task in made.tasks if task.round == 0} == {1}


def test_equal_cases_are_measured_once_and_shown_twice(tmp_path):
    made = MadeUp()
    axes = {"in_channels": 64, "heads": 8, "kappa": [0.25, 0.3], "dv": 8, "resolution": 4}
    frame = run(made, request(tmp_path, axes=axes, rounds=1))
    assert len(made.tasks) == 2
    assert list(frame["kappa"]) == [0.25, 0.3]
    assert frame["latency_median_s"].nunique() == 1


def test_what_cannot_fit_is_skipped_with_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(skipping, "available_bytes", lambda: 1_000_000)
    monkeypatch.setattr(post, "WorkerProcess", MadeUpWorker)
    wanted = request(
        tmp_path, axes={**AXES, "resolution": [4, 64], "attention": "broadcast"}, rounds=1
    )
    frame = run(OneWorker(wanted.settings), wanted)
    assert list(frame["status"]) == ["ok", "skipped", "ok", "skipped"]
    assert "80% of the 1,000,000 bytes" in frame["reason"][1]
    assert frame["predicted_peak_bytes"].notna().all()


def test_a_second_sweep_into_the_same_folder_is_refused(tmp_path):
    run(MadeUp(), request(tmp_path))
    before = (tmp_path / "run" / "rows.jsonl").read_bytes()
    second = MadeUp()
    with FolderLock(tmp_path / "run"), pytest.raises(UsageError, match="another sweep is writing"):
        run(second, request(tmp_path, again=True))
    assert second.tasks == []
    assert (tmp_path / "run" / "rows.jsonl").read_bytes() == before


def test_sizes_that_overflow_are_refused_before_anything_is_written(tmp_path):
    axes = {
        "in_channels": 65536,
        "heads": 1,
        "dk": 65536,
        "dv": 4,
        "resolution": 16384,
        "batch": 10**6,
    }
    with pytest.raises(UsageError, match="overflow 64 bits"):
        Sweep(request(tmp_path, axes=axes), MadeUp(), Unobserved()).run()
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_another_environment_is_refused(tmp_path):
    run(MadeUp(), request(tmp_path))
    other = MadeUp(environment={**ENVIRONMENT, "torch": "2.11.0"})
    with pytest.raises(UsageError, match=r"torch 2\.11\.0 here, 2\.15\.0 in the run"):
        run(other, request(tmp_path))


def test_other_settings_are_refused(tmp_path):
    run(MadeUp(), request(tmp_path))
    with pytest.raises(UsageError, match=r"rounds 3 \(there: 2\)"):
        run(MadeUp(), request(tmp_path, rounds=3))


def test_a_damaged_line_is_said_and_its_case_measured_again(tmp_path):
    run(MadeUp(), request(tmp_path))
    rows = tmp_path / "run" / "rows.jsonl"
    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join([*lines[:4], lines[4][:50] + "\n", *lines[5:]]))
    assert "line 5 is damaged" in load_run(tmp_path / "run").attrs["problems"][0]
    made = MadeUp()
    run(made, request(tmp_path))
    assert len(made.tasks) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    words = [mount or "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if mount is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_stops_the_sweep_and_room_lets_it_go_on(tmp_path, small_disk):
    axes = {**AXES, "resolution": "2:40"}
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 30_000)
    folder = small_disk / "results"
    with pytest.raises(RunError, match="No space left on device.*make room"):
        Sweep(request(folder, axes=axes, rounds=1), MadeUp(), Unobserved()).run()
    kept = load_run(folder / "run")
    assert (kept["status"] == "ok").sum() > 0
    assert not kept.attrs["complete"]
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    made = MadeUp()
    assert set(run(made, request(folder, axes=axes, rounds=1))["status"]) == {"ok"}
    records = (folder / "run" / "rows.jsonl").read_text().splitlines()
    assert len(made.tasks) < len(records)


def test_a_doubtful_convolution_is_said_beside_the_ratio(tmp_path):
    made = MadeUp()
    made._ok = lambda task: Outcome(
        "ok", samples_s=[0.001] * 3 if task.case.layer.is_plain else [0.001] * 20, device="cpu"
    )
    frame = run(made, request(tmp_path, rounds=1))
    assert frame["warnings"].str.contains("what it is compared with: only 3 samples").all()
