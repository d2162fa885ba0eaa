"""``aabench compare`` on stored runs: formats, conditions and exit codes."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from aabench.cli.main import app
from aabench.errors import AabenchError

DATA = Path(__file__).parent.parent / "runs" / "data"
RUNS = [str(DATA / "before"), str(DATA / "after")]


def run(*words):
    return CliRunner().invoke(app, ["compare", *words], catch_exceptions=False)


def test_the_table_says_verdicts_differences_and_what_was_not_measured():
    done = run(*RUNS)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "B beside A, 6 cases in both: 1 slower, 1 faster, 2 same, 1 cannot tell, "
        "1 not measured on both sides"
    )
    text = " ".join(done.stdout.split())
    assert "torch 2.11.0 in A, 2.15.0 in B" in text
    assert "Only in A: 2 cases: 8 heads, 8x8; 8 heads, 14x14" in text
    assert "4 14x14 B: oom, out of memory" in text
    (slower,) = [line for line in lines if "  slower  " in line]
    assert "1.15x" in slower and "10.0 MiB" in slower


@pytest.mark.parametrize("width", [60, 100, 200])
def test_no_line_is_wider_than_the_terminal(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run(*RUNS).stdout.splitlines()
    paths = [line for line in lines if "/" in line and "runs" in line]
    assert max(len(line) for line in lines if line not in paths) <= width


def test_csv_is_one_line_a_case():
    frame = pd.read_csv(io.StringIO(run(*RUNS, "--format", "csv").stdout))
    assert len(frame) == 10
    assert frame["verdict"].value_counts().to_dict() == {
        "same": 2,
        "slower": 1,
        "faster": 1,
        "cannot tell": 1,
    }


def test_json_has_the_runs_the_differences_and_the_failures():
    done = run(*RUNS, "--format", "json", "--fail-if", "peak>5%")
    assert done.exit_code == 3
    answer = json.loads(done.stdout)
    assert answer["failures"] == ["fails peak>5%: 2 of 6 cases, worst 1.167x, 1 not measured in B"]
    assert answer["differences"][0] == {"label": "torch", "a": "2.11.0", "b": "2.15.0"}
    assert answer["threshold"] == 0.05 and answer["b"]["complete"]
    assert len(answer["cases"]) == 10 and answer["cases"][0]["peak_ratio"] == 1
    assert "fails peak>5%" in done.stderr


def test_markdown_has_every_case():
    lines = run(*RUNS, "--format", "md").stdout.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + 6
    assert {row.count("|") for row in rows} == {rows[0].count("|")}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--fail-if", "peak>5%"], 3),
        (["--fail-if", "peak>50%"], 3),  # a case that A measured and B could not
        (["--fail-if", "latency>10%", "--fail-if", "step-peak>99%"], 3),
        (["--threshold", "2%"], 0),
    ],
)
def test_exit_codes(words, code):
    assert run(*RUNS, *words).exit_code == code


def test_a_condition_that_holds_lets_pass():
    again = [RUNS[0], RUNS[0]]
    assert run(*again, "--fail-if", "peak>0%", "--fail-if", "latency>1%").exit_code == 0


def test_the_threshold_follows_a_stricter_condition():
    answer = json.loads(run(*RUNS, "--format", "json", "--fail-if", "latency>2%").stdout)
    assert answer["threshold"] == 0.02


@pytest.mark.parametrize(
    ("words", "clue"),
    [
        ([RUNS[0], "no-such-run"], "no such run folder"),
        ([RUNS[0], str(DATA)], "not a run folder"),
        ([*RUNS, "--fail-if", "peek>5%"], "did you mean peak"),
        ([*RUNS, "--fail-if", "peak>5"], "FIGURE>PERCENT"),
        ([*RUNS, "--threshold", "5"], "such as 5%"),
        ([*RUNS, "--threshold", "10%", "--fail-if", "latency>5%"], "up to 5%"),
    ],
)
def test_nonsense_is_refused(words, clue):
    with pytest.raises(AabenchError, match=clue) as refused:
        run(*words)
    assert refused.value.exit_code == 2
