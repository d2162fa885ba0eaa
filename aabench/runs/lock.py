"""The lock of a run folder: one sweep writes into it at a time, and a dead owner is recognised."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from aabench.errors import UsageError


class FolderLock:
    """An advisory lock on ``folder/lock``, held while the context is open.

    The kernel drops it with its owner, so a lock left behind by a killed sweep is stale by itself
    and simply taken over. The file's text names the owner for whoever is refused.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = self._owner()
            os.close(self._descriptor)
            raise UsageError(
                f"another sweep is writing into {self._path.parent}",
                got=owner,
                instead="wait for it, or give another --out folder",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, self._introduction())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The file stays: removing it would let two sweeps lock two files of the same name.
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _owner(self) -> str:
        try:
            owner = json.loads(self._path.read_text())
            return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
        except (ValueError, KeyError, OSError):
            return "an owner that did not say its name"

    @staticmethod
    def _introduction() -> bytes:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        return json.dumps(owner).encode()
