"""The folder probe: whether a sweep could write and lock its files in a folder, tried for real."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FolderReading:
    """A folder that results may go to.

    Attributes:
        path: as it was given.
        free_bytes: of its file system, for this user.
        problem: why it cannot be written; None if it can.

    """

    path: str
    free_bytes: int | None = None
    problem: str | None = None


def try_folder(folder: Path) -> FolderReading:
    """Write a file that vanishes at once into a folder, or into what it would be made in.

    Asking for permissions would not do: a full, read-only or remote file system has its own mind.
    """
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"aabench\n")
            file.flush()
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return FolderReading(str(folder), shutil.disk_usage(place).free)
    except OSError as error:
        return FolderReading(str(folder), problem=f"{place}: {error.strerror or error}")
