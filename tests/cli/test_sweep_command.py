"""``aabench sweep`` as a person types it: rows, resume, interruption, and nonsense refused."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from typer.testing import CliRunner

import aabench
from aabench.cases.columns import COLUMN_NAMES
from aabench.cli.main import app, main

PATIENCE_S = 240
"""For what is certain to come, however busy the machine; below what a test may take."""

AABENCH = [sys.executable, "-m", "aabench"]

SMALL = [
    *("--in-channels", "16", "--heads", "2,3", "--dk", "8", "--dv", "4", "--resolution", "4,8"),
    *("--mode", "infer,train", "--attention", "materialized,sdpa-bias"),
    *("--seconds-per-case", "0.02", "--device", "cpu"),
]

HOLDING = """
import pathlib, time
from aabench.layers.attention.broadcast import attend as broadcast

def attend(*inputs):
    rows = pathlib.Path("cut", "rows.jsonl")
    while pathlib.Path("hold").exists() and rows.exists() and rows.read_bytes().count(b"\\n") >= 3:
        time.sleep(0.01)
    return broadcast(*inputs)
"""
"""A form that waits once three rounds are written: until then a sweep goes on, and it cannot end."""

HELD = ["sweep", *SMALL, "--attention", "materialized,holding:attend", "--out", "cut"]


def run(*words, cwd):
    return subprocess.run(
        [*AABENCH, *words], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S
    )


@contextlib.contextmanager
def begun(*words, cwd):
    """A command that runs beside the test, and ends with it at the latest."""
    with subprocess.Popen(
        [*AABENCH, *words],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def typed(monkeypatch, capsys):
    """Runs a command in this process, to its exit code and what it wrote."""

    def run_here(*words, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setattr(sys, "argv", ["aabench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        return subprocess.CompletedProcess(words, ended.value.code, written.out, written.err)

    return run_here


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return folder, run("sweep", *SMALL, "--out", "mine", cwd=folder)


def test_every_case_is_accounted_for(swept):
    folder, done = swept
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(folder / "mine" / "results.csv")
    assert list(frame.columns) == list(COLUMN_NAMES)
    assert len(frame) == 2 * 2 * 2 * 2
    invalid = frame[frame["heads"] == 3]
    assert set(invalid["status"]) == {"invalid"}
    assert invalid["reason"].str.contains("3 heads do not divide").all()
    good = frame[frame["heads"] == 2]
    assert set(good["status"]) == {"ok"}
    for column in ("latency_median_s", "peak_allocated_bytes", "flops", "latency_ratio", "params"):
        assert (good[column] > 0).all(), column
    assert good["counts_remark"].isna().all()
    assert (good["traced_macs"] > 0).all()


def test_the_table_says_what_was_compared(swept):
    _, done = swept
    assert "materialized" in done.stdout
    assert "3 heads do not divide dv = 4" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_the_same_command_says_that_it_is_complete(swept, typed):
    folder, _ = swept
    before = (folder / "mine" / "rows.jsonl").read_bytes()
    done = typed("sweep", *SMALL, "--out", "mine", "--format", "csv", cwd=folder)
    assert done.returncode == 0
    assert "already complete" in done.stderr
    assert done.stdout.startswith("status,reason")
    assert (folder / "mine" / "rows.jsonl").read_bytes() == before


def test_a_run_is_loaded_in_one_line(swept):
    folder, _ = swept
    frame = aabench.load_run(folder / "mine")
    assert frame.attrs["complete"]
    assert frame.attrs["environment"]["device"]["device"] == "cpu"
    assert frame["status"].tolist().count("ok") == 8


def test_report_prints_it_again(swept, typed):
    folder, _ = swept
    done = typed("report", "mine", "--format", "json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 16
    table = typed("report", "mine", cwd=folder)
    assert "sdpa-bias" in table.stdout


def test_another_grid_is_refused_and_again_puts_the_old_run_aside(swept):
    folder, _ = swept
    done = run("sweep", "--heads", "4", "--out", "mine", cwd=folder)
    assert done.returncode == 2
    assert "another grid" in done.stderr
    assert "--again" in done.stderr


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path, typed):
    (tmp_path / "holding.py").write_text(HOLDING)
    hold, rows = tmp_path / "hold", tmp_path / "cut" / "rows.jsonl"
    hold.touch()
    with begun(*HELD, cwd=tmp_path) as process:
        wait_for(lambda: has_ended(process) or lines_in(rows) >= 3)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # an impatient person must not corrupt anything
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, errors
    assert "resume with: aabench sweep" in errors
    early = rows.read_bytes()
    frame = pd.read_csv(tmp_path / "cut" / "results.csv")
    assert len(frame) == 16
    hold.unlink()
    done = typed(*HELD, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows.read_bytes().startswith(early)
    assert_each_round_once(rows)
    assert set(aabench.load_run(tmp_path / "cut")["status"]) == {"ok", "invalid"}


@pytest.mark.parametrize("nap", ["time.sleep(1000)", "ctypes.PyDLL(None).sleep(1000)"])
def test_a_worker_that_hangs_goes_with_its_parent(tmp_path, nap):
    """Also where it never gives up the interpreter's lock, so that no thread of it can run."""
    (tmp_path / "slow.py").write_text(
        "import ctypes, pathlib, time\n"
        "def attend(q, k, v, tables, resolution):\n"
        "    pathlib.Path('hanging').touch()\n"
        f"    {nap}\n"
    )
    words = ["sweep", *SMALL, "--attention", "slow:attend", "--out", "cut"]
    with begun(*words, cwd=tmp_path) as process:
        wait_for(lambda: has_ended(process) or (tmp_path / "hanging").exists())
        workers = children_of(process)
        process.kill()
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert workers, errors
    wait_for(lambda: not any(map(is_at_work, workers)))


def test_the_plug_pulled_in_both_rounds_leaves_no_worker_and_changes_nothing(
    tmp_path, swept, typed
):
    words = ["sweep", *SMALL, "--out", "mine"]
    rows = tmp_path / "mine" / "rows.jsonl"
    workers = []
    for more in (1, 1, 2, 1, 2, 1, 2, 1, 2, 2):  # of 12 rows a round
        enough = lines_in(rows) + more
        with begun(*words, cwd=tmp_path) as process:
            wait_for(lambda: has_ended(process) or lines_in(rows) >= enough)  # noqa: B023
            workers += children_of(process)
    assert workers
    wait_for(lambda: not any(map(is_at_work, workers)))
    done = typed(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_each_round_once(rows)
    ours, theirs = aabench.load_run(tmp_path / "mine"), aabench.load_run(swept[0] / "mine")
    settled = [
        "status",
        "reason",
        "key",
        "heads",
        "dk",
        "dv",
        "attention",
        "mode",
        "params",
        "macs",
    ]
    pd.testing.assert_frame_equal(ours[settled], theirs[settled])
    assert ours.attrs["complete"]


@pytest.mark.parametrize(
    ("statuses", "clue"),
    [
        (["unsupported", "oom"], "(1 oom, 1 unsupported); aabench report mine says why, under"),
        (["crashed", "crashed"], "(2 crashed); aabench report mine"),
        (["ok", "crashed"], None),
    ],
)
def test_a_sweep_without_any_figure_says_so_and_where_to_look(monkeypatch, statuses, clue):
    frame = aabench.predict(in_channels=16, heads=2, dk=8, dv=4, resolution=[4, 8])
    frame["status"], frame["reason"] = statuses, "no such luck"
    monkeypatch.setattr("aabench.cli.watching.watched_sweep", lambda request: frame)
    done = CliRunner().invoke(app, ["sweep", "--heads", "2", "--out", "mine"])
    assert done.exit_code == 0
    if clue is None:
        assert done.stderr == ""
        return
    assert done.stderr.startswith("aabench: no case gave a figure ") and clue in done.stderr
    assert ("--retry" in done.stderr) == ("crashed" in statuses)
    assert "Not measured" in done.stdout


def test_dry_run_writes_nothing(tmp_path, typed):
    done = typed("sweep", *SMALL, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "16 rows, of which 8 invalid" in done.stderr
    assert not list(tmp_path.iterdir())


def test_python_from_standard_input(tmp_path):
    script = (
        "import aabench\n"
        "frame = aabench.sweep(in_channels=8, heads=2, dk=4, dv=4, resolution=4, out='o',\n"
        "    device='cpu', seconds_per_case=0.02, attention='broadcast')\n"
        "print(frame.loc[0, 'status'], frame.loc[0, 'latency_median_s'] > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-"],
        input=script,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout == "ok True\n", done.stderr


@pytest.mark.parametrize(
    ("words", "clues"),
    [
        (["--heads", "3", "--dk", "32", "--dv", "8"], ["impossible", "3 heads do not divide"]),
        (["--heads", "3,5", "--dk", "32", "--dv", "8"], ["all 2 layers", "3 heads"]),
        (["--dk", "8", "--kappa", "0.1"], ["--dk and --kappa"]),
        (["--heads", "4:2"], ["backwards", "write 2:4"]),
        (["--attention", "sdpa"], ["unknown attention form", "did you mean sdpa-bias"]),
        (["--attention", "no_such_module:f"], ["no_such_module", "cannot be imported"]),
        (["--device", "gpu"], ["unknown device"]),
        (["--device", "cuda:99"], ["cuda:99"]),
        (["--precision", "int8"], ["unknown precision", "fp32"]),
        ([""], ["unknown profile"]),
        (["quikc"], ["unknown profile", "did you mean quick"]),
        (["--headz", "4"], ["No such option"]),
        (["--rounds", "0"], ["--rounds is out of range", "1 to 100"]),
        (["--seconds-per-case", "nan"], ["--seconds-per-case is out of range"]),
        (["--timeout", "-5"], ["--timeout is out of range"]),
        (["--heads", "1:4000", "--batch", "1:1000"], ["more than a million", "--yes"]),
        (["--format", "xml"], ["Invalid value for '--format'"]),
        (["--out", "/proc/nothing/here"], ["cannot be made"]),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, typed, words, clues):
    done = typed("sweep", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    flat = " ".join(done.stderr.replace("│", " ").split())
    for clue in clues:
        assert clue in flat
    assert not list(tmp_path.iterdir())


def assert_each_round_once(rows: Path) -> None:
    records = [json.loads(line) for line in rows.read_text().splitlines()]
    seen = [(record["key"], record["round"]) for record in records]
    assert len(seen) == len(set(seen))


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def has_ended(process):
    return process.poll() is not None


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def children_of(process) -> list[psutil.Process]:
    """The processes that a process has started; none once it has ended."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_at_work(process: psutil.Process) -> bool:
    """Whether a process is still there; one that has ended may wait for its parent to see so."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
