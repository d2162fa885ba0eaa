"""The executor that a request asks for: one worker, several on this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable

from aabench.runs.executor import Executor, OneWorker
from aabench.runs.request import Request


def executor_for(request: Request, tell: Callable[[str], None] = lambda text: None) -> Executor:
    """What will run the tasks of a request; nothing is started yet.

    Args:
        request: what is asked for.
        tell: is told of places that are left out.

    Raises:
        UsageError: a device that Ray cannot be asked for.
    """
    settings, outside_code = request.settings, request.grid.outside_code
    if request.ray is not None:
        from aabench.runs.ray_cluster import RayCluster

        return RayCluster(settings, outside_code, address=request.ray, tell=tell)
    if settings.has_several_devices:
        from aabench.runs.several_workers import SeveralWorkers

        return SeveralWorkers(settings, outside_code)
    return OneWorker(settings, outside_code)
