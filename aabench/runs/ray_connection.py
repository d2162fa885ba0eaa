"""The connection to Ray: a cluster that answers and is of one mind about versions, or a clear error."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aabench.errors import UsageError

LOCAL = "local"
"""Stands for a cluster that is started for this run."""

ANSWER_SECONDS = 10.0
"""A cluster that is there accepts a connection within this time."""

TRIAL_SECONDS = 60.0
"""A process imports Ray and connects within this time, also from a slow disk."""

TRIAL = """
import sys
try:
    import ray
    ray.init(address=sys.argv[1], log_to_driver=False)
except Exception as error:
    print(error)
    sys.exit(1)
"""

SURVEY_SECONDS = 60.0
"""A node that is free starts a Python process within this time."""

COMPARED = ("aabench", "torch", "ray")
"""Packages whose versions all nodes and this process must share."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # a benchmark calls nobody
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # the logs of Ray's own processes stay in their files
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""What keeps Ray's words out of a report; read by Ray when it is imported."""

LEAST_STORE_BYTES = 80 * 2**20
"""Tasks and outcomes are a few KiB: a local cluster needs no large store of objects."""


def connect(address: str) -> Any:
    """Connect to a cluster, and return the module ``ray``.

    Args:
        address: ``host:port``, ``ray://host:port``, ``auto``, or ``local``: a cluster of this machine alone,
            which ends with the connection.

    Raises:
        UsageError: Ray is not installed, nothing answers, or it is another version of Ray.
    """
    ray = _ray()
    asked = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if asked != LOCAL:
        if asked != "auto":
            check_answer(asked)
        _try_in_child(asked)
    local = {"include_dashboard": False, "object_store_memory": LEAST_STORE_BYTES}
    try:
        ray.init(
            address=asked,
            logging_level=logging.CRITICAL,
            log_to_driver=False,
            **(local if asked == LOCAL else {}),
        )
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise _refusal(address, str(error)) from error
    return ray


def _try_in_child(address: str) -> None:
    """Connect in another process first: where nothing answers as Ray does, Ray itself tries for minutes.

    Raises:
        UsageError: with what Ray says, or that it says nothing.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL, address],
            capture_output=True,
            text=True,
            timeout=TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refusal(address, f"nothing that speaks Ray within {TRIAL_SECONDS:g} s") from None
    if done.returncode and "InvalidAuthToken" in done.stderr:
        raise UsageError(
            f"the Ray cluster at {address} wants a token",
            instead="set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN if ~/.ray/auth_token is another one",
        )
    if done.returncode:
        raise _refusal(address, done.stdout.strip() or f"exit code {done.returncode}")


def check_answer(address: str, seconds: float = ANSWER_SECONDS) -> None:
    """Refuse an address that accepts no connection.

    Raises:
        UsageError: says what to check.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(
            "--ray: not an address", got=address, allowed="host:port, ray://host:port, auto, local"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
    except (OSError, OverflowError) as error:
        usual = "10001" if address.startswith("ray://") else "6379"
        raise UsageError(
            f"no Ray cluster answers at {address} within {seconds:g} s: {error}",
            instead=f"check that ray start --head runs there, the port (usually {usual}), and that no "
            "firewall is between",
        ) from error


def nodes_of_one_mind(
    ray: Any, nodes: Mapping[str, str], tell: Callable[[str], None]
) -> dict[str, str]:
    """The nodes that answer; all of them would run the same code as this process.

    Args:
        ray: the module, connected.
        nodes: the names of the nodes by their Ray ids.
        tell: is told which nodes do not answer: a cluster lists a node for a while after its end.

    Raises:
        UsageError: names node, package and both versions.
    """
    here = _version_reader()(COMPARED)
    answering = {}
    for (node, name), there in zip(nodes.items(), _surveyed(ray, nodes), strict=True):
        if there is None:
            tell(f"node {name} is left out: it runs no tasks")
            continue
        for package, wanted in here.items():
            if there[package] != wanted:
                raise UsageError(
                    f"node {name} has another {package} than this process",
                    got=there[package] or "none",
                    allowed=str(wanted),
                    instead="install the same versions on all nodes",
                )
        answering[node] = name
    return answering


def _ray() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--ray needs the package ray", instead="pip install 'aabench[ray]'"
        ) from error
    return ray


def _refusal(address: str, reason: str) -> UsageError:
    said = " ".join(reason.split())[:400]
    if "Version mismatch" in said:
        return UsageError(
            f"the Ray cluster at {address} has other versions than this process: {said}",
            instead="install the same versions of Python and Ray on all nodes",
        )
    what = (
        "a local Ray cluster cannot be started" if not address else f"no Ray cluster at {address}"
    )
    instead = (
        "start one with ray start --head, or say --ray without an address" if address else None
    )
    return UsageError(f"{what}: {said}", instead=instead)


def _surveyed(ray: Any, nodes: Iterable[str]) -> list[dict[str, str | None] | None]:
    """The versions on each node, None where it does not answer.

    They are asked with what every Python has, as aabench may not be there.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    survey = ray.remote(_version_reader())
    asked = [
        survey.options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote(COMPARED)
        for node in nodes
    ]
    ray.wait(asked, num_returns=len(asked), timeout=SURVEY_SECONDS)
    return [_answer(ray, each) for each in asked]


def _answer(ray: Any, asked: Any) -> dict[str, str | None] | None:
    try:
        return dict(ray.get(asked, timeout=0.1))
    except ray.exceptions.RayError:
        return None


def _version_reader() -> Callable[[Sequence[str]], dict[str, str | None]]:
    """A function that says which versions of packages are installed, and needs nothing that is not.

    It is local to this one, so that Ray sends its code and not its name.
    """

    def versions(packages: Sequence[str]) -> dict[str, str | None]:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, str | None] = {"Python": ".".join(platform.python_version_tuple()[:2])}
        for package in packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = None
        return found

    return versions
