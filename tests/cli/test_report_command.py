"""``aabench report`` as a person types it: files, several runs, the browser, and what is no run."""

from __future__ import annotations

import json
import shutil
import webbrowser
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from aabench.cases.columns import COLUMN_NAMES
from aabench.cli.main import app
from aabench.errors import EXIT_USAGE, AabenchError
from aabench.report import files
from aabench.report.files import FileFormat
from aabench.report.page.accuracy_chart import PublishedAccuracy
from aabench.runs import reading

RUNS = Path(__file__).parents[1] / "runs" / "data"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUNS / "before", tmp_path / "before"))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUNS / "after", tmp_path / "after"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a browser was told to open; the page itself has tests of its own."""
    urls: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or True)
    page = FileFormat(".html", "", lambda runs: f"{runs.title} {runs.budgets}".encode())
    monkeypatch.setitem(files.FILE_FORMATS, "html", page)
    return urls


def report(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, words)])


def refused(*words: str | Path) -> str:
    done = report(*words)
    assert isinstance(done.exception, AabenchError), done.output
    assert done.exception.exit_code == EXIT_USAGE
    return str(done.exception)


def test_files_lie_beside_the_run_and_their_paths_are_printed(run: Path) -> None:
    done = report(run, "--to", "csv,md,latex")
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(run / f"report.{end}") for end in ("csv", "md", "tex")]
    frame = pd.read_csv(run / "report.csv")
    assert list(frame.columns) == list(COLUMN_NAMES)
    assert "time / ms" in (run / "report.md").read_text()
    assert r"\toprule" in (run / "report.tex").read_text()


def test_a_run_with_report_files_is_still_a_run(run: Path) -> None:
    before = report(run, "--format", "csv").stdout
    assert report(run, "--to", "csv,md").exit_code == 0
    assert report(run, "--format", "csv").stdout == before


def test_several_runs_are_one_table_in_the_folder_given(
    run: Path, other: Path, tmp_path: Path
) -> None:
    done = report(run, other, "--to", "csv", "--into", tmp_path / "both")
    assert done.stdout.strip() == str(tmp_path / "both" / "report.csv")
    frame = pd.read_csv(tmp_path / "both" / "report.csv")
    assert frame["run"].unique().tolist() == ["before", "after"]
    assert "add --into DIR" in refused(run, other, "--to", "csv")


@pytest.mark.parametrize("format_name", ["table", "csv", "json", "md"])
def test_several_runs_go_to_standard_output_in_every_format(
    run: Path, other: Path, format_name: str
) -> None:
    done = report(run, other, "--format", format_name)
    assert done.exit_code == 0, done.output
    assert "before" in done.stdout and "after" in done.stdout
    if format_name == "json":
        assert {row["run"] for row in json.loads(done.stdout)} == {"before", "after"}


def test_to_open_a_page_is_to_write_it(run: Path, opened: list[str]) -> None:
    done = report(run, "--open")
    assert done.stdout.split() == [str(run / "report.html")]
    assert opened == [(run / "report.html").resolve().as_uri()]
    report(run, "--to", "html")
    assert len(opened) == 1


def test_a_machine_without_a_browser_says_where_the_page_is(
    run: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    done = report(run, "--open")
    assert done.exit_code == 0
    assert "no browser" in done.stderr and "report.html" in done.stderr


def test_budgets_are_sizes_and_cards(run: Path, opened: list[str]) -> None:
    report(run, "--to", "html", "--budget", "12GiB, t4-16gb")
    page = (run / "report.html").read_text()
    assert f"'12GiB': {12 * 2**30}" in page and "'NVIDIA T4, 16 GB':" in page
    assert "unknown unit" in refused(run, "--to", "html", "--budget", "12 parsecs")
    assert "did you mean" in refused(run, "--to", "html", "--budget", "t4-16")


@pytest.mark.parametrize(
    ("words", "clue"),
    [
        (("--to", "htm"), "unknown file format; got 'htm'; allowed: html, md, latex, csv, parquet"),
        (("--to", ""), "names no format"),
        (("--to", "csv", "--format", "csv"), "exclude each other"),
        (("--to", "csv", "--predictions"), "--predictions goes to standard output"),
        (("--into", "x"), "none are asked for"),
        (("--to", "csv", "--budget", "1GiB"), "--budget is for the page"),
    ],
)
def test_flags_that_mean_nothing_are_refused(run: Path, words: tuple[str, ...], clue: str) -> None:
    assert clue in refused(run, *words)
    assert not list(run.glob("report.*"))


def test_a_run_given_twice_is_refused(run: Path) -> None:
    assert "given twice" in refused(run, run / ".." / "before")


def test_an_unwritable_target_is_said(run: Path) -> None:
    (run / "report.csv").mkdir()
    assert "report.csv cannot be written" in refused(run, "--to", "csv")
    assert "--into" in refused(run, "--to", "csv", "--into", run / "rows.jsonl")


def test_a_run_without_results_is_refused(run: Path) -> None:
    (run / "rows.jsonl").unlink()
    message = refused(run, "--to", "csv")
    assert "holds no result yet" in message and "give its command again" in message
    assert not (run / "report.csv").exists()


def test_an_unfinished_run_is_reported_and_said_to_be_unfinished(run: Path) -> None:
    rows = run / "rows.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:8]))
    done = report(run, "--to", "csv,md")
    assert done.exit_code == 0
    assert f"{run} is not complete; its command resumes it" in done.stderr
    assert "not measured yet" in (run / "report.md").read_text()


def test_a_damaged_line_is_left_out_and_said(run: Path) -> None:
    rows = run / "rows.jsonl"
    first, *others = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join([first[:50] + "\n", *others]))
    done = report(run, "--format", "csv")
    assert done.exit_code == 0
    assert f"aabench: {run}: rows.jsonl line 1 is damaged" in done.stderr


@pytest.mark.parametrize(
    ("schema", "clue"), [(0, "older aabench; got 'schema 0'; allowed: schema 1"), (2, "newer")]
)
def test_a_run_of_another_schema_says_what_to_do(run: Path, schema: int, clue: str) -> None:
    manifest = run / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": schema}))
    message = refused(run, "--to", "csv")
    assert clue in message
    assert ("upgrade aabench" in message) == (schema == 2)
    assert ("reads it" in message and "--again" in message) == (schema == 0)


def test_the_page_of_a_network_is_told_what_papers_report(
    run: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """81.6 % of aa-wrn28-10 on CIFAR-100 is in table 1 of Bello et al. 2019."""
    told: list[PublishedAccuracy] = []
    page = FileFormat(".html", "", lambda runs: told.extend(runs.accuracies) or b"")
    monkeypatch.setitem(files.FILE_FORMATS, "html", page)
    report(run, "--to", "html")
    assert not told
    frame = reading.load_run(run).assign(network="aa-wrn28-10")
    monkeypatch.setattr(reading, "load_run", lambda path: frame)
    report(run, "--to", "html")
    first, *others = told
    assert (first.network, first.resolution, first.percent) == ("aa-wrn28-10", 32, 81.6)
    assert first.measure == "top-1 on CIFAR-100" and first.source.endswith("table 1")
    assert {each.network for each in others} <= {"aa-wrn28-10"}


@pytest.mark.parametrize("format_name", ["table", "csv", "json", "md"])
def test_predictions_that_nothing_was_measured_of_are_refused(
    run: Path, tmp_path: Path, format_name: str
) -> None:
    predicted = tmp_path / "predicted"
    words = ["sweep", "--predict", "--resolution", "14", "--gpu", "t4-16gb", "--out"]
    assert CliRunner().invoke(app, [*words, str(predicted)]).exit_code == 0
    told = refused(predicted, "--predictions", "--format", format_name)
    assert "predicted and never measured" in told and "without --predict" in told
    told = refused(run, "--predictions", "--format", format_name)  # from before there were any
    assert "have nothing predicted" in told and "says what became of each" in told


def test_a_prediction_is_reported_beside_a_measured_run(run: Path, tmp_path: Path) -> None:
    predicted = tmp_path / "predicted"
    words = ["sweep", "--predict", "--resolution", "14,28", "--gpu", "t4-16gb", "--out"]
    assert CliRunner().invoke(app, [*words, str(predicted)]).exit_code == 0
    alone = report(predicted, "--to", "csv,md")
    assert alone.exit_code == 0 and alone.stderr == ""
    frame = pd.read_csv(predicted / "report.csv")
    assert list(frame.columns) == list(COLUMN_NAMES)
    assert (frame["predicted_peak_bytes"] > 0).all() and frame["peak_allocated_bytes"].isna().all()
    assert "predicted, not measured" in (predicted / "report.md").read_text()
    both = report(run, predicted)
    assert both.exit_code == 0
    assert "predicted: NVIDIA T4, 16 GB · 2 predicted" in both.stdout
