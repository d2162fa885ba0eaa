"""The user guide: what it tells people to type is understood, and its Python runs as written."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from types import ModuleType

import pytest
import torch
import typer.main

from aabench.cases.card import Card
from aabench.cli.main import app
from aabench.layers.reference import reference_rows

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]

_CODE = re.compile(r"```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL)
_PLAIN = re.compile(r"^(?:\$ )?(aabench (?:.*\\\n)*.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def refresh() -> ModuleType:
    """The script that puts outputs into the pages; it is no part of the package."""
    spec = importlib.util.spec_from_file_location("refresh", DOCS / "refresh.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["refresh"] = module
    spec.loader.exec_module(module)
    return module


def commands_of(text: str) -> list[list[str]]:
    """Every command of aabench in the blocks of a page that are no program's text."""
    blocks = [code["text"] for code in _CODE.finditer(text) if code["language"] in ("", "console")]
    lines = [line for block in blocks for line in _PLAIN.findall(block)]
    words = [shlex.split(line.replace("\\\n", " "), comments=True) for line in lines]
    return [list(takewhile(lambda word: word not in (">", "|"), each[1:])) for each in words]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_understood(page: Path) -> None:
    group = typer.main.get_command(app)
    for name, *words in commands_of(page.read_text(encoding="utf-8")):
        command = group.commands[name]  # type: ignore[attr-defined]
        command.make_context(f"aabench {name}", [*words])  # says what it does not understand


def test_commands_are_found() -> None:
    """The test above would pass without any."""
    found = [commands_of(page.read_text(encoding="utf-8")) for page in PAGES]
    assert sum(map(len, found)) > 40
    assert {name for commands in found for name, *_ in commands} >= {"fit", "sweep", "report"}


@pytest.fixture
def read(
    refresh: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """The text of a page, and its files in the current folder."""

    def laid_out(name: str) -> str:
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        refresh.lay_out(text, tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        return text

    return laid_out


@pytest.mark.parametrize("name", ["quickstart", "python"])
def test_the_python_of_a_page_runs_as_written(read: Callable[[str], str], name: str) -> None:
    blocks = [code["text"] for code in _CODE.finditer(read(name)) if code["language"] == "python"]
    assert blocks
    exec("\n".join(blocks), {"__name__": "page"})


def test_an_own_form_network_and_card_work_as_written(read: Callable[[str], str]) -> None:
    read("extending")
    by_rows = importlib.import_module("my_forms").by_rows
    arguments = [torch.randn(2, 3, 20, depth, dtype=torch.float64) for depth in (8, 8, 5)]
    tables = tuple(torch.randn(2 * side - 1, 8, dtype=torch.float64) for side in (4, 5))
    for given in (None, tables):
        expected = reference_rows(*arguments, given, (4, 5))
        torch.testing.assert_close(by_rows(*arguments, given, (4, 5)), expected)
    network = importlib.import_module("my_networks").tiny()
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 10)
    assert Card.of("./my-card.toml").name == "My card, 20 GB"


def test_outputs_are_put_in_where_they_belong(
    refresh: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "_output", lambda words, folder: f"{words[1]}\n2  \n3\n")
    page = (
        "```console\n$ aabench list gpus\nold\n```\n"
        "<!-- refresh: keep 2 -->\n```console\n$ aabench fit a \\\n  --batch 2\n```\n"
        "<!-- refresh: never -->\n```console\n$ aabench doctor\nold\n```\n"
    )
    assert refresh.refreshed(page) == (
        "```console\n$ aabench list gpus\nlist\n2\n3\n```\n"
        "<!-- refresh: keep 2 -->\n```console\n$ aabench fit a \\\n  --batch 2\nfit\n2\n…\n```\n"
        "<!-- refresh: never -->\n```console\n$ aabench doctor\nold\n```\n"
    )
