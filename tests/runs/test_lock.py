"""The lock of a run folder: one owner, named to whoever comes second, gone with its process."""

import json
import os
import signal
import subprocess
import sys

import pytest

from aabench.errors import UsageError
from aabench.runs.lock import FolderLock

HOLDER = """
import sys, time
from pathlib import Path
from aabench.runs.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_sweep_is_refused_and_told_of_the_first(tmp_path, holder):
    with pytest.raises(UsageError, match=f"process {holder.pid} on "), FolderLock(tmp_path):
        pass


def test_the_lock_of_a_killed_sweep_is_stale(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == holder.pid
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_it_can_be_taken_again_and_again(tmp_path):
    for _ in range(3):
        with FolderLock(tmp_path):
            pass
    assert (tmp_path / "lock").read_text() == ""
