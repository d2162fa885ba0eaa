"""The process: one command with a limit on its time, asked to end before it is made to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.part import Ending, Part

GRACE_S = 8.0
"""A sweep that is interrupted writes its table; it has so long at most before it is killed."""

GRACE_SHARE = 0.2
"""Of a part's time, the most that is kept for that."""


@dataclass(frozen=True)
class ProcessRunner:
    """Runs parts as processes.

    Attributes:
        folder: where their output goes, as ``NAME.out`` and ``NAME.err``.
        root: the folder that they run in.
        environment: their environment variables.
        grace_s: seconds at most between the interrupt and the kill.
    """

    folder: Path
    root: Path
    environment: Mapping[str, str]
    grace_s: float = GRACE_S

    def __call__(self, part: Part, limit_s: float) -> Ending:
        """Run a part, the grace included in its limit."""
        command = [sys.executable, "-m", *part.words]
        errors = self.folder / f"{part.name}.err"
        with (self.folder / f"{part.name}.out").open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            code = self._wait(process, limit_s)
        return Ending(code, _last_line(errors))

    def _wait(self, process: subprocess.Popen[bytes], limit_s: float) -> int | None:
        """Its exit code; None where it had to be stopped. Its whole group ends with it."""
        grace_s = min(self.grace_s, GRACE_SHARE * limit_s)
        try:
            return process.wait(limit_s - grace_s)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGINT)
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                pass  # it is killed below
            return None
        finally:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass  # all of the group have ended


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
