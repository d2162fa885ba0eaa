"""Whether processes are still at work: asked while they may be ending."""

import psutil


def is_at_work(pid: int) -> bool:
    """Whether there is such a process; one that has ended may wait for its parent to see so."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
