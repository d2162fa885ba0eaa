"""``list``, ``report`` and the options of aabench itself: their output and their errors."""

import json

import pytest
from typer.testing import CliRunner

from aabench import __version__
from aabench.cases.axes import AXES
from aabench.cases.catalogue import ATTENTIONS, POSITIONS
from aabench.cases.columns import COLUMN_NAMES
from aabench.cli.main import app
from aabench.errors import UsageError

runner = CliRunner()


def output_of(*words):
    done = runner.invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("attentions", ATTENTIONS.names()),
        ("positions", POSITIONS.names()),
        ("columns", COLUMN_NAMES),
        ("profiles", ["quick", "gpu-layers"]),
    ],
)
def test_list_names_everything_once(what, names):
    table = output_of("list", what)
    records = json.loads(output_of("list", what, "--format", "json"))
    listed = [record[what[:-1]] for record in records]
    assert [name for name in listed if name in names] == list(names) or what == "profiles"
    assert len(set(listed)) == len(listed)
    for name in names:
        assert name in table


def test_version():
    assert output_of("--version").strip() == f"aabench {__version__}"


def test_help_has_every_axis_and_an_example():
    text = output_of("sweep", "--help")
    for axis in AXES.values():
        assert axis.flag in text
    assert "Example" in text
    assert "(default: infer)" in " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("command", ["sweep", "layer", "report", "list"])
def test_every_command_has_an_example(command):
    assert "Example: aabench " + command in output_of(command, "--help")


def test_what_is_no_run_is_refused(tmp_path):
    for path, clue in ((tmp_path / "none", "no such run folder"), (tmp_path, "no manifest.json")):
        done = runner.invoke(app, ["report", str(path)])
        assert isinstance(done.exception, UsageError)
        assert clue in str(done.exception)


def test_an_unknown_list_is_refused():
    done = runner.invoke(app, ["list", "networkz"])
    assert done.exit_code == 2
