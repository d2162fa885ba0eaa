"""The outputs in the user guide: runs the commands that its pages show, and puts in what they print.

``python docs/refresh.py`` does so for every page, ``python docs/refresh.py docs/commands/fit.md`` for
one. A block of ``console`` holds one command after ``$`` and its output. A comment before the block
says what else there is to know::

    <!-- refresh: keep 12 -->  only the first 12 lines of the output are shown
    <!-- refresh: never -->    measured on a quiet machine, or takes long; left as it is

A block of code whose first line is ``# NAME.py`` or ``# NAME.toml`` is a file that the commands of the
page find in their folder, where ``results`` has the runs of ``RUNS``.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent

RUNS = {
    "attentions": DOCS / "example" / "attentions",
    "before": DOCS.parent / "tests" / "runs" / "data" / "before",
    "after": DOCS.parent / "tests" / "runs" / "data" / "after",
}
"""The runs that the commands find in ``results``."""

ANSWERS = (0, 3, 4)
"""Exit codes of commands that did what they were asked."""

WIDTH = "100"

_BLOCK = re.compile(
    r"(?:<!-- refresh: (?P<rule>[^>]*?) -->\n)?"
    r"```console\n\$ (?P<command>(?:[^\n]*\\\n)*[^\n]*)\n(?P<output>.*?)```\n",
    re.DOTALL,
)
_FILE = re.compile(r"```\w+\n# (?P<name>[\w-]+\.(?:py|toml))\n(?P<text>.*?)```\n", re.DOTALL)


def pages() -> list[Path]:
    """Every page of the guide."""
    return sorted(DOCS.rglob("*.md"))


def lay_out(text: str, folder: Path) -> None:
    """Put the files that a page shows, and the example run, into a folder."""
    for file in _FILE.finditer(text):
        (folder / file["name"]).write_text(file["text"].lstrip("\n"), encoding="utf-8")
    (folder / "results").mkdir()
    for name, run in RUNS.items():
        (folder / "results" / name).symlink_to(run)


def refreshed(text: str) -> str:
    """A page with the outputs of today."""
    with tempfile.TemporaryDirectory() as folder:
        lay_out(text, Path(folder))

        def renewed(block: re.Match[str]) -> str:
            rule = block["rule"] or ""
            if rule == "never":
                return block[0]
            words = shlex.split(block["command"].replace("\\\n", " "))
            output = _shortened(_output(words, Path(folder)), rule)
            start = block.start("output") - block.start()
            return f"{block[0][:start]}{output}```\n"

        return _BLOCK.sub(renewed, text)


def _output(words: Sequence[str], folder: Path) -> str:
    environment = {**os.environ, "COLUMNS": WIDTH, "PYTHONPATH": str(DOCS.parent)}
    environment.pop("FORCE_COLOR", None)
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in ANSWERS:
        raise SystemExit(f"{shlex.join(words)}\n{done.stderr}")
    return done.stdout


def _shortened(output: str, rule: str) -> str:
    """The output as far as the rule keeps it, with an ellipsis where something is left out."""
    lines = output.rstrip().splitlines()
    kept = int(rule.removeprefix("keep ")) if rule else len(lines)
    shown = [*lines[:kept], "…"] if kept < len(lines) else lines
    return "\n".join(line.rstrip() for line in shown) + "\n"


def main(names: Sequence[str]) -> None:
    """Refresh some pages, or all of them."""
    for page in [Path(name) for name in names] or pages():
        text = page.read_text(encoding="utf-8")
        page.write_text(refreshed(text), encoding="utf-8")
        print(page)


if __name__ == "__main__":
    main(sys.argv[1:])
