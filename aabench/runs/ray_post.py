"""The post on a node of a Ray cluster: what an actor there hosts."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from aabench.errors import AabenchError
from aabench.runs.post import Post
from aabench.runs.settings import RunSettings
from aabench.runs.task import Task

THREADS = "OMP_NUM_THREADS"
"""Ray sets this in its processes to the cores that it gives them: none to an actor that has a card."""

GONE = "gone"
"""The key of an answer that says why no worker can be started here any more."""


class RayPost:
    """A post that speaks plain dictionaries, so that no class has to travel between machines.

    Args:
        settings: of the run, as ``RunSettings.to_dict`` writes them.
        device: torch device, as the actor sees it.
        outside_code: ``package.module:attribute`` targets that the cases name.
    """

    def __init__(
        self, settings: Mapping[str, Any], device: str, outside_code: Sequence[str]
    ) -> None:
        restore_threads(os.environ, _environment_of_the_node())
        self._post = Post(RunSettings.of(settings), device, outside_code)

    def ready(self) -> bool:
        """Answers as soon as there is an actor at all."""
        return True

    def greeting(self) -> dict[str, Any]:
        """What the worker says of its device and environment, or ``error``: why it cannot be used.

        With the Ray id of the node, its machine's name and the numbers of the cards that Ray gave.
        """
        import ray

        where = {
            "node_id": ray.get_runtime_context().get_node_id(),
            "host": socket.gethostname(),
            "cards": ray.get_gpu_ids(),
        }
        try:
            return {**self._post.greeting(), **where}
        except AabenchError as error:
            return {"error": str(error), **where}

    def run(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Measure a task; the outcome as ``Outcome.to_dict`` writes it, or why there cannot be one."""
        try:
            return self._post.run(Task.from_dict(dict(task))).to_dict()
        except AabenchError as error:
            return {GONE: str(error)}


def restore_threads(here: dict[str, str] | os._Environ[str], node: Mapping[str, str]) -> None:
    """Give the worker the threads that it would have without Ray: the user's number or torch's own."""
    if THREADS in node:
        here[THREADS] = node[THREADS]
    else:
        here.pop(THREADS, None)


def _environment_of_the_node() -> Mapping[str, str]:
    """The environment of the node's Ray service, which started this process: what the user set there."""
    parent = psutil.Process().parent()
    if parent is None:
        return {}
    try:
        return parent.environ()
    except psutil.AccessDenied:
        return {}
