"""The probe process seen from its parent: asked stage by stage, and survived whatever it does."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

PROBE = (sys.executable, "-P", "-m", "aabench.measuring.machine.probe")
"""``-P``: a file such as ``random.py`` in the user's folder must not stand in for Python's own."""

LAST_BREATH_SECONDS = 5.0
"""How long a killed process is waited for: one that hangs inside a driver never goes."""

MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one stage.

    Attributes:
        facts: JSON values; None if there are none.
        problem: why there are none, in one line.

    """

    facts: Any = None
    problem: str | None = None


class ProbeProcess:
    """A probe process, started when first asked and again after it was lost; a context.

    Args:
        command: the program to run, with its arguments.

    """

    def __init__(self, command: Sequence[str] = PROBE) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the context

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._errors.close()

    def ask(self, stage: str, seconds: float) -> Answer:
        """Have one stage tried.

        Args:
            stage: a name that the probe knows.
            seconds: after which it is given up and the process ended.

        """
        process = self._process = self._process or self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(f"{seconds:g} {stage}\n".encode())
            process.stdin.flush()
            line = _line(process, time.monotonic() + seconds)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            self._end()
            return Answer(problem=f"no answer within {seconds:g} s; it was stopped")
        if not line:
            return Answer(problem=self._post_mortem(process))
        return Answer(**json.loads(line))

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # so that it can be ended with all that it started
            env={**os.environ, "PYTHONPATH": _search_path()},
        )

    def _post_mortem(self, process: subprocess.Popen[bytes]) -> str:
        """How a process ended that answered no more."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LAST_BREATH_SECONDS)
        code = process.poll()
        self._end()
        if code is None:
            return "it closed its pipe without an answer"
        if code < 0:
            return f"it was ended by signal {-code} ({signal.strsignal(-code)})"
        words = self._last_words()
        return f"it ended with exit code {code}" + (f": {words}" if words else "")

    def _last_words(self) -> str:
        """The last line that it wrote to standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 4096))
        lines = self._errors.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[
            :MOST_CHARACTERS
        ]

    def _end(self) -> None:
        """End the process, if there is one, and everything that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LAST_BREATH_SECONDS)
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()


def _line(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """The next line of a process, or nothing when it has closed its pipe.

    Raises:
        TimeoutError: there was none before the deadline on the monotonic clock.

    """
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not received.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            block = os.read(descriptor, 1 << 16)
            if not block:
                return b""
            received += block
    return received


def _search_path() -> str:
    """Where this process finds its modules, so that the probe finds the same ones."""
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
