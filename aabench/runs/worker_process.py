"""One worker process seen from its parent: start it, give it tasks, outlive whatever it does."""

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
from typing import IO, Any

from aabench.errors import RunError, UsageError
from aabench.measuring.available_memory import available_bytes
from aabench.runs.process_memory import oom_kills, resident_bytes
from aabench.runs.task import Outcome, Task

STARTUP_SECONDS = 300.0
"""Importing torch from a cold network disk can take minutes."""

WATCH_SECONDS = 0.25
"""How often the resident size of a busy worker is looked at: microseconds of work each time."""

MEMORY_SHARE = 0.9
"""Share of the memory available at a case's start that its worker may come to hold."""


class WorkerProcess:
    """A running worker.

    Args:
        device: the device it is to describe in its greeting, ``auto`` included.
        outside_code: ``package.module:attribute`` targets that it must be able to import.
    """

    def __init__(self, device: str, outside_code: Sequence[str] = ()) -> None:
        self.tasks_done = 0
        self._buffer = b""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        lifeline_read, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # a file in the current folder must not take a module's place
                    "-m",
                    "aabench.runs.worker",
                    str(lifeline_read),
                    device,
                    *outside_code,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=(lifeline_read,),
                start_new_session=True,  # Ctrl-C is for the parent alone
                env=_environment(),
            )
        finally:
            os.close(lifeline_read)
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        try:
            self.greeting = self._greeting()
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def run(self, task: Task, timeout: float) -> Outcome:
        """Measure one task; whatever happens to the worker becomes the outcome.

        After an outcome that is ``tainted`` the worker is gone or must be killed.
        """
        self._errors.seek(0)
        self._errors.truncate()
        self.tasks_done += 1
        kills_before = oom_kills()
        limit = resident_bytes(self.pid) + int(MEMORY_SHARE * available_bytes())
        try:
            self._write(task.to_dict())
            line = self._read(time.monotonic() + timeout, limit)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            self.kill()
            return _lost(task, "timeout", f"not done after --timeout {timeout:g} s; worker stopped")
        except MemoryError as error:
            self.kill()
            return _lost(task, "oom", str(error))
        if line:
            return Outcome.from_dict(json.loads(line))
        return self._post_mortem(task, kills_before)

    def interrupt(self) -> None:
        """End the process from another thread than the one that waits for its answer."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and everything it started."""
        self.interrupt()
        self._process.kill()
        self._process.wait()
        self._close()

    def close(self) -> None:
        """Let the worker end by itself, which it does when its pipe is closed."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            self._close()

    def _close(self) -> None:
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _greeting(self) -> dict[str, Any]:
        try:
            line = self._read(time.monotonic() + STARTUP_SECONDS, None)
        except TimeoutError:
            raise RunError(f"the worker did not start within {STARTUP_SECONDS:g} s") from None
        if not line:
            self._process.wait()
            raise RunError(f"the worker could not start: {self._last_words() or 'no message'}")
        greeting: dict[str, Any] = json.loads(line)
        if "error" in greeting:
            raise UsageError(greeting["error"])
        return greeting

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self, deadline: float, memory_limit: int | None) -> bytes:
        """The next line of the worker, or nothing when it has died."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if self._selector.select(min(left, WATCH_SECONDS)):
                block = os.read(descriptor, 1 << 20)
                if not block:
                    return b""
                self._buffer += block
            elif memory_limit is not None:
                self._watch(memory_limit)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _watch(self, memory_limit: int) -> None:
        resident = resident_bytes(self.pid)
        if resident > memory_limit:
            raise MemoryError(
                f"stopped at {resident:,} bytes resident, above the {memory_limit:,} bytes that "
                "this machine could spare when the case began"
            )

    def _post_mortem(self, task: Task, kills_before: int) -> Outcome:
        code = self._process.wait()
        words = self._last_words()
        self.kill()
        said = f"; its last words: {words}" if words else ""
        if code == -signal.SIGKILL and oom_kills() > kills_before:
            return _lost(task, "oom", "the kernel ended the worker because memory ran out")
        if code < 0:
            return _lost(task, "crashed", f"the worker died of {_signal_name(-code)}{said}")
        return _lost(task, "crashed", f"the worker ended with exit code {code}{said}")

    def _last_words(self) -> str:
        """The last line that the worker wrote to standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 4096))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def _lost(task: Task, status: str, reason: str) -> Outcome:
    return Outcome(status=status, reason=reason, device=task.where, tainted=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment() -> dict[str, str]:
    """The worker finds the same modules as its parent, notebooks and scripts included."""
    paths = [path for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
