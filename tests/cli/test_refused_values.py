"""Values of flags that are refused: in words for people, whichever library checked them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from aabench.cli.main import app

OF_LIBRARIES = ("Value error", "Input should", "validation error", "unable to parse", "type=")


@pytest.mark.parametrize(
    ("words", "clues"),
    [
        (["list", "cards"], ["'cards' is not one of", "'gpus'"]),
        (["list", "gpus", "--format", "xml"], ["'xml' is not one of"]),
        (["sweep", "--format", "xml"], ["'xml' is not one of"]),
        (["doctor", "--format", "xml"], ["'xml' is not one of"]),
        (["network", "aa-debug-resnet", "--depth", "0"], ["--depth", "0", "1"]),
        (["network", "aa-debug-resnet", "--depth", "deep"], ["--depth", "'deep' is not a"]),
        (["sweep", "--rounds", "1.5"], ["--rounds", "'1.5' is not a"]),
        (["sweep", "--seconds-per-case", "long"], ["--seconds-per-case", "'long' is not a"]),
        (["sweep", "--epochs", "-1", "--images", "1"], ["--epochs", "-1", "0"]),
        (["sweep", "--images", "0"], ["--images", "0", "1"]),
        (["calibrate", "--seconds", "soon"], ["--seconds", "'soon' is not a"]),
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_a_refused_value_is_named_beside_what_is_allowed(
    words: list[str], clues: list[str]
) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    told = " ".join(done.output.replace("│", " ").split())
    for clue in clues:
        assert clue in told
    for phrase in OF_LIBRARIES:
        assert phrase not in told
