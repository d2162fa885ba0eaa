"""The worker process: ``python -m aabench.runs.worker`` measures one task after another.

Requests are lines of JSON on standard input, replies are lines of JSON on what was standard output
when it started. Both are taken out of reach at once, so that code under test can print, read and
close what it likes. The process ends when its pipe does.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import IO, Any


def main() -> None:
    """Serve tasks until the request pipe is closed."""
    requests, replies = _private_pipes()
    _die_with_parent(int(sys.argv[1]))
    _offer_to_oom_killer()

    from aabench.runs.hello import hello
    from aabench.runs.task import Task

    _send(replies, hello(sys.argv[2], sys.argv[3:]))
    from aabench.runs.execution import execute  # after the greeting: the parent plans meanwhile

    is_warm = False
    for line in requests:
        outcome = execute(Task.from_dict(json.loads(line)))
        _send(replies, outcome.to_dict())
        if not is_warm:
            # The first task has made torch import what it needs: collecting after the later ones
            # does not have to look through all of that again.
            gc.freeze()
            is_warm = True


def _private_pipes() -> tuple[IO[str], IO[str]]:
    """Move the pipes to descriptors of our own; user code gets /dev/null and standard error."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, replies


def _die_with_parent(lifeline: int) -> None:
    """End this process with its parent, whatever it is doing at that moment.

    A thread blocks on a pipe whose other end only the parent holds; on Linux the kernel is asked as
    well, since code that never gives up the interpreter's lock would keep the thread from running.
    """
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL)

    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _offer_to_oom_killer() -> None:
    """If the machine runs out of memory, this process should go first, not the user's session."""
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("1000")


def _send(replies: IO[str], message: dict[str, Any]) -> None:
    replies.write(json.dumps(message, allow_nan=False) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
