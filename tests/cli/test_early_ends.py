"""Commands that are cut short: readers that go, streams that are closed, and Ctrl-C."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from aabench.cli.command_group import _is_read
from aabench.cli.main import app, main
from aabench.cli.output import OutputFormat
from aabench.cli.predicting import show_prediction
from aabench.cost.target import Target
from aabench.errors import EXIT_INTERRUPTED, EXIT_UNHEARD, RunError
from aabench.runs.request import Request
from aabench.runs.table_file import CsvFile

AABENCH = [sys.executable, "-m", "aabench"]
RUN = Path(__file__).parents[1] / "runs" / "data" / "before"


@pytest.fixture
def unread():
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture(autouse=True)
def nobodys_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AABENCH_CALIBRATION", str(tmp_path / "none.json"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture(params=["buffered", "unbuffered"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """Python writes at once, or when it has much to write; the exit code must not depend on it."""
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return inherited | ({"PYTHONUNBUFFERED": "1"} if request.param == "unbuffered" else {})


def writing_to(pipe: int, *, at_once: bool) -> TextIO:
    """A stream into a pipe as Python makes its standard output, ``PYTHONUNBUFFERED`` or not."""
    raw = os.fdopen(os.dup(pipe), "wb", 0 if at_once else -1)
    return io.TextIOWrapper(raw, write_through=at_once)


@pytest.fixture
def exit_code_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the program in this process, with some stream as its standard output, to its exit code."""

    def run_here(*words: str, stdout: TextIO) -> int:
        monkeypatch.setattr(sys, "argv", ["aabench", *words])
        monkeypatch.setattr(sys, "stdout", stdout)
        with stdout, pytest.raises(SystemExit) as ended:  # closing it is what ends a process too
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run_here


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize(
    "words",
    [
        ["list", "columns"],
        ["list", "positions", "--format", "json"],
        ["report", str(RUN)],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_reader_that_goes_is_no_error_worth_words(
    words: list[str], unread: int, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [*AABENCH, *words],
        stdout=unread,
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
        env=environment,
    )
    assert done.returncode == EXIT_UNHEARD == 128 + 13
    # A library may warn of something; what Python says of a stream that it cannot flush is ours.
    ours = ("aabench", "Traceback", "Exception ignored", "BrokenPipeError")
    assert not [line for line in done.stderr.splitlines() if line.startswith(ours)], done.stderr


@pytest.mark.parametrize("at_once", [False, True], ids=["buffered", "unbuffered"])
def test_a_reader_that_goes_within_a_long_table(
    unread: int,
    at_once: bool,
    exit_code_of: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["sweep", "--predict", "--device", "cpu", "--batch", "1:400", "--format", "csv"]
    assert exit_code_of(*words, stdout=writing_to(unread, at_once=at_once)) == EXIT_UNHEARD
    assert capsys.readouterr().err == ""


def test_a_sweep_that_nobody_reads_writes_every_row(
    tmp_path: Path,
    unread: int,
    exit_code_of: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [
        *("sweep", "--in-channels", "8", "--heads", "2", "--dk", "4", "--dv", "4"),
        *("--resolution", "4", "--attention", "materialized,broadcast", "--device", "cpu"),
        *("--seconds-per-case", "0.02", "--out", str(tmp_path / "mine")),
    ]
    with writing_to(unread, at_once=False) as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        code = exit_code_of(*words, stdout=writing_to(unread, at_once=False))
    assert code == EXIT_UNHEARD
    records = (tmp_path / "mine" / "rows.jsonl").read_text().splitlines()
    assert len(records) == 2 * 3  # two rounds of the forms and of the plain convolution
    assert (tmp_path / "mine" / "results.csv").read_text().count("ok,") >= 2


def test_a_pipe_of_our_own_that_breaks_is_an_error_worth_words(
    monkeypatch: pytest.MonkeyPatch, unread: int
) -> None:
    with os.fdopen(os.dup(unread), "w") as closed, Path(os.devnull).open("w") as nowhere:
        assert (_is_read(closed), _is_read(nowhere)) == (False, True)
    monkeypatch.setattr("aabench.cli.command_group._is_read", lambda stream: True)
    monkeypatch.setattr("aabench.report.lists.write_list", raising(BrokenPipeError()))
    done = run("list", "gpus")
    assert isinstance(done.exception, RunError) and "pipe to another process" in str(done.exception)


def test_files_are_written_even_if_nobody_reads_their_names(
    tmp_path: Path, unread: int, exit_code_of: Callable[..., int]
) -> None:
    words = ["report", str(RUN), "--to", "csv,md", "--into", str(tmp_path)]
    assert exit_code_of(*words, stdout=writing_to(unread, at_once=True)) == EXIT_UNHEARD
    assert {path.name for path in tmp_path.iterdir()} >= {"report.csv", "report.md"}


def test_a_prediction_is_kept_whole_even_if_nobody_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unread(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    axes = {"in_channels": 8, "heads": 2, "dk": 4, "dv": 4, "batch": "1:40"}
    request = Request.of(None, axes, {}, out=tmp_path / "kept")
    monkeypatch.setattr("aabench.cli.predicting.MOST_HELD", 10)
    monkeypatch.setattr("aabench.runs.predicted_run.PART_ROWS", 16)
    monkeypatch.setattr(sys, "stdout", Unread())
    with pytest.raises(BrokenPipeError):
        show_prediction(request, Target(), OutputFormat.csv, keep=CsvFile(), jobs=1)
    assert len(pd.read_csv(tmp_path / "kept" / "results.csv")) == 40


def test_streams_that_were_never_open_are_no_error() -> None:
    def close() -> None:
        os.close(1)
        os.close(2)

    done = subprocess.run([*AABENCH, "list", "positions"], preexec_fn=close, timeout=240)
    assert done.returncode == 0


def test_a_plan_is_written_even_if_nobody_reads_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aabench.cli.fit.show_fit", raising(BrokenPipeError()))
    monkeypatch.setattr("aabench.cli.command_group._is_read", lambda stream: False)
    plan, page = tmp_path / "plan.json", tmp_path / "page.html"
    words = ["aa-debug-resnet", "--device", "cpu", "--budget", "1GiB", "--write", str(plan)]
    done = run("fit", *words, "--html", str(page))
    assert done.exit_code == EXIT_UNHEARD
    assert plan.exists() and page.exists()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("aabench.fitting.door.fit", ["fit", "aa-debug-resnet"]),
        ("aabench.cli.network.looked_at", ["network", "aa-debug-resnet"]),
        ("aabench.cli.layer._looked_at", ["layer"]),
        ("aabench.runs.reading.load_run", ["report", str(RUN)]),
        ("aabench.runs.comparison.compare_runs", ["compare", str(RUN), str(RUN)]),
        ("aabench.published.comparison.compare", ["paper", "aa-1"]),
        ("aabench.report.lists.write_list", ["list", "gpus"]),
        ("aabench.measuring.machine.examination.examine", ["doctor"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch, place: str, words: list[str]
) -> None:
    monkeypatch.setattr(place, raising(KeyboardInterrupt()))
    done = run(*words)
    assert done.exit_code == EXIT_INTERRUPTED
    assert done.stderr == "aabench: interrupted\n"


def test_what_is_kept_is_said_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("aabench.cli.watching.watched_sweep", raising(KeyboardInterrupt()))
    monkeypatch.setattr(sys, "argv", ["aabench", "sweep", "--heads", "2", "--again"])
    done = run("sweep", "--heads", "2", "--out", str(tmp_path / "mine"))
    assert done.exit_code == EXIT_INTERRUPTED
    assert done.stderr == (
        f"aabench: interrupted; what was measured is in {tmp_path / 'mine'}\n"
        "resume with: aabench sweep --heads 2\n"
    )
    monkeypatch.setattr("aabench.runs.calibrating.calibrate", raising(KeyboardInterrupt()))
    done = run("calibrate")
    assert done.exit_code == EXIT_INTERRUPTED
    assert "interrupted; nothing was measured that could be kept" in done.stderr


def raising(error: BaseException):
    def raise_it(*words: object, **options: object) -> None:
        raise error

    return raise_it
