"""The direction of data: who may import whom, and what a quick command may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import aabench

PACKAGE = Path(aabench.__file__).parent

ALLOWED = {
    "errors": set(),
    "cases": {"errors"},
    "modules": {"errors"},
    "layers": {"errors", "cases"},
    "cost": {"errors", "cases", "modules"},
    "measuring": {"errors", "cases"},
    "networks": {"errors", "cases", "modules", "layers"},
    "published": {"errors", "cases", "layers", "cost", "networks"},
    "runs": {"errors", "cases", "layers", "cost", "measuring", "networks"},
    "fitting": {"errors", "cases", "modules", "cost", "measuring", "networks"},
    "report": {"errors", "cases"},
    "cli": {
        "errors",
        "cases",
        "layers",
        "cost",
        "measuring",
        "networks",
        "published",
        "runs",
        "fitting",
        "report",
    },
}


def imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("aabench.")}


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_knows_only_the_rooms_before_it(room):
    files = [PACKAGE / f"{room}.py"] if room == "errors" else (PACKAGE / room).rglob("*.py")
    for path in files:
        extra = imported_rooms(path) - ALLOWED[room] - {room}
        assert not extra, f"{path.relative_to(PACKAGE)} imports {extra}"


def test_every_room_is_known():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] not in "_."}
    assert rooms <= set(ALLOWED)


def test_forms_do_not_import_each_other():
    folder = PACKAGE / "layers" / "attention"
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                other = node.module.removeprefix("aabench.layers.attention.")
                assert other == node.module or other.startswith(path.stem), (path.name, node.module)


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


HEAVY = {"torch", "torchvision", "pandas", "numpy", "fvcore"}


@pytest.mark.parametrize(
    "code",
    [
        "import aabench",
        "import aabench.cases.grid, aabench.cases.profile, aabench.cases.catalogue",
        "import aabench.cli.main",
        # one process for all of them: what any of them loads is seen at its end
        "from typer.testing import CliRunner as R; from aabench.cli.main import app\n"
        "lists = 'attentions', 'positions', 'profiles', 'networks', 'columns'\n"
        "for words in (['--help'], ['sweep', '--help'], *(['list', what] for what in lists)):\n"
        "    assert R().invoke(app, words).exit_code == 0, words",
    ],
    ids=["package", "cases", "command line", "commands"],
)
def test_quick_commands_load_nothing_heavy(code):
    assert not loaded_by(code) & HEAVY


def test_prediction_loads_no_torch():
    assert "torch" not in loaded_by("import aabench.cost.layers")
