"""``paper`` and ``list networks``: what goes to standard output, in every format, and exit codes."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from aabench.cases.network_catalogue import NETWORKS
from aabench.cli.main import app
from aabench.errors import UnknownName, UsageError
from aabench.published import counters, record
from aabench.published.printed import rows_of

runner = CliRunner()


def result_of(*words, width=80):
    return runner.invoke(app, list(words), env={"COLUMNS": str(width)})


def output_of(*words, width=80):
    done = result_of(*words, width=width)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("width", [80, 160])
def test_a_table_fits_its_terminal_and_says_everything(width):
    text = output_of("paper", "aa-1", "AA 6", width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    (row,) = (line for line in lines if line.startswith("aa-wrn28-10"))
    for figure in ("10.9", "12.29", "+1.39", "36.2", "36.05", "-0.15", "81.6"):
        assert f" {figure} " in row
    assert ("not reproduced" in row) == (width == 160)
    assert "Not reproduced: the rule as stated" in text
    assert "aa-resnet50 kappa=upsilon=1 " in text
    assert "6 rows: 3 as printed, 2 near, 1 not reproduced." in text


def test_programs_read_every_row():
    records = json.loads(output_of("paper", "replication", "--format", "json"))
    rows = list(csv.DictReader(io.StringIO(output_of("paper", "replication", "--format", "csv"))))
    assert len(records) == len(rows) == len(rows_of(["replication"]))
    assert records[0]["published_gflops"] is None and rows[0]["published_gflops"] == ""
    assert [int(row["params"]) for row in rows] == [each["params"] for each in records]
    assert records[-1]["network"] == "replication-aa-nre-wrn28-10"


def test_markdown_has_the_notes_below_the_table():
    text = output_of("paper", "aa-1", "--format", "md")
    assert text.startswith("### aa-1: Attention Augmented Convolutional Networks")
    assert "| aa-wrn28-10 | CIFAR-100 32 px | 10.9 | 12.29 | +1.39 | 36.2 |" in text
    assert "\n4. Not reproduced: the rule as stated" in text


def test_check_says_that_nothing_moved():
    assert (
        output_of("paper", "aa-1", "--check")
        == "our figures for all 4 rows are the recorded ones\n"
    )
    assert json.loads(output_of("paper", "aa-1", "--check", "--format", "json")) == []


def test_check_exits_3_and_names_what_moved(monkeypatch):
    true = record.read_record()
    params, flops = true["aa-1", "wrn28-10"]
    moved = {**true, ("aa-1", "wrn28-10"): (params - 1, flops)}
    monkeypatch.setattr(record, "read_record", lambda: moved)
    done = result_of("paper", "aa-1", "--check")
    assert done.exit_code == 3
    assert f"params  {params - 1:,}  {params:,}" in done.stdout
    assert "python -m aabench.published.record" in done.stderr
    told = result_of("paper", "aa-1", "--check", "--format", "csv")
    assert told.exit_code == 3
    assert told.stdout == (
        f"table,printed_as,figure,recorded,got\naa-1,wrn28-10,params,{params - 1},{params}\n"
    )


@pytest.fixture(scope="module")
def counted():
    few = [counters.Subject(name, 32) for name in ("debug-resnet", "aa-debug-resnet")]
    return list(counters.compare_counters(few))


@pytest.fixture
def few_networks(monkeypatch, counted):
    monkeypatch.setattr(counters, "compare_counters", lambda of, started: counted)


@pytest.mark.parametrize("width", [80, 160])
def test_counts_compare_three_counters(few_networks, width):
    lines = output_of("paper", "--counts", width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert any("batch norm +38,528" in line for line in lines)
    assert "2 networks: the closed forms are torch's count in 2; fvcore could trace 2." in lines


def test_counts_for_programs(few_networks):
    records = json.loads(output_of("paper", "--counts", "--format", "json"))
    rows = list(csv.DictReader(io.StringIO(output_of("paper", "--counts", "--format", "csv"))))
    assert [each["macs_traced"] for each in records] == [int(row["macs_traced"]) for row in rows]
    assert {each["closed_forms_difference"] for each in records} == {0}
    markdown = output_of("paper", "--counts", "--format", "md")
    assert f"| aa-debug-resnet | 32 | {records[1]['params']:,} |" in markdown


@pytest.mark.parametrize(
    ("words", "error", "clue"),
    [
        (["paper", "aa-2"], UnknownName, "did you mean aa"),
        (["paper", "--check", "--counts"], UsageError, "ask one at a time"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_code_2(words, error, clue):
    done = result_of(*words)
    assert isinstance(done.exception, error) and done.exception.exit_code == 2
    assert clue in str(done.exception)


def test_list_networks_has_every_name_with_its_plain_counterpart():
    records = json.loads(output_of("list", "networks", "--format", "json"))
    assert [each["network"] for each in records] == NETWORKS.names()
    by_name = {each["network"]: each for each in records}
    assert by_name["aa-resnet50"]["plain"] == "resnet50"
    assert by_name["bot-resnet50"]["pixels"] == "1024"
    text = output_of("list", "networks")
    assert all(name in text for name in NETWORKS.names())
