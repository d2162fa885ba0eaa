"""The Ray cluster: one actor per card or per node, each with a post in it; Ray places and watches them."""

from __future__ import annotations

import contextlib
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from aabench.errors import RunError, UsageError
from aabench.runs.dispatch import Tasks, dispatch
from aabench.runs.place import Place
from aabench.runs.ray_connection import LOCAL, connect, nodes_of_one_mind
from aabench.runs.ray_post import GONE, RayPost
from aabench.runs.settings import ALL, RunSettings
from aabench.runs.task import Outcome, Task
from aabench.runs.worker_process import STARTUP_SECONDS

PLACING_SECONDS = 60.0
"""A card or node that is free takes an actor within this time."""

Answer = TypeVar("Answer")

SPREAD = ("auto", "cpu", "cuda", ALL)
"""The devices that can be asked for: which cards they are, Ray decides."""


class RayCluster:
    """Runs tasks on a Ray cluster: on every free card, or on every node with all its cores.

    Args:
        settings: of the run; ``device`` is one of ``SPREAD``.
        outside_code: ``package.module:attribute`` targets that the cases name.
        address: see ``aabench.runs.ray_connection.connect``. A program that is connected already stays
            connected to what it is.
        tell: is told which nodes are left out, and why.

    Attributes:
        card: what an actor's worker calls its card: it sees that one alone.

    Raises:
        UsageError: a device that cannot be asked for.
    """

    card = "cuda:0"

    def __init__(
        self,
        settings: RunSettings,
        outside_code: Sequence[str] = (),
        *,
        address: str = LOCAL,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        if settings.device not in SPREAD:
            raise UsageError(
                "--ray places cases itself, on all cards that are free",
                got=f"--device {settings.device}",
                allowed=SPREAD,
            )
        self._settings, self._outside_code = settings, outside_code
        self._address, self._tell = address, tell
        self._ray: Any = None
        self._is_ours = False
        self._stations: list[_Station] = []

    def places(self) -> Sequence[Place]:
        """The cards or nodes, each with what its worker says of it.

        Raises:
            UsageError: no cluster, no free device on it, or nodes that differ in their versions.
        """
        if not self._stations:
            self._connect()
            self._open()
        return [station.place for station in self._stations]

    def run(self, tasks: Tasks, started: Callable[[Task], None]) -> Iterator[tuple[Task, Outcome]]:
        """Run the tasks, as many at once as there are places."""
        self.places()
        return dispatch(self._stations, tasks, started)

    def close(self) -> None:
        """End all actors, and with them their workers; leave the cluster."""
        for station in self._stations:
            station.close()
        self._stations = []
        if self._is_ours:
            self._ray.shutdown()
        self._ray, self._is_ours = None, False

    def _connect(self) -> None:
        if self._ray is not None:
            return
        ray = sys.modules.get("ray")
        if ray is not None and ray.is_initialized():
            self._ray = ray
        else:
            self._ray, self._is_ours = connect(self._address), True

    def _open(self) -> None:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        wants_cards = self._settings.device in ("cuda", ALL) or (
            self._settings.device == "auto" and any(_has(node, "GPU") for node in nodes)
        )
        resource = "GPU" if wants_cards else "CPU"
        chosen = _named([node for node in nodes if _has(node, resource)])
        if not chosen:
            raise UsageError(
                f"the Ray cluster has no {'GPUs' if wants_cards else 'CPUs'}",
                got=_inventory(nodes),
                instead="take --device cpu, or start nodes with cards" if wants_cards else None,
            )
        names = {node["NodeID"]: name for name, node in chosen.items()}
        answering = nodes_of_one_mind(self._ray, names, self._tell)
        chosen = {name: node for name, node in chosen.items() if node["NodeID"] in answering}
        stations = self._on_cards(chosen) if wants_cards else self._on_nodes(chosen)
        self._stations = stations  # so that they are closed if anything fails from here on
        self._stations = self._placed(stations)
        greetings = [station.greet() for station in self._stations]
        try:
            for greeting in greetings:
                greeting.result(timeout=STARTUP_SECONDS)
        except TimeoutError:
            raise RunError(f"a worker did not start within {STARTUP_SECONDS:g} s") from None

    def _on_cards(self, nodes: Mapping[str, Any]) -> list[_Station]:
        """One station for each card that nobody uses; which cards these are, Ray says afterwards."""
        free = math.floor(self._ray.available_resources().get("GPU", 0))
        if not free:
            raise UsageError(
                "all GPUs of the Ray cluster are in use", instead="wait, or look at ray status"
            )
        names = {node["NodeID"]: name for name, node in nodes.items()}
        resources = {"num_gpus": 1, "num_cpus": 1}
        return [self._station(self.card, resources, names) for _ in range(free)]

    def _on_nodes(self, nodes: Mapping[str, Any]) -> list[_Station]:
        """One station for each node with all its cores, so that nothing runs beside a case."""
        return [
            self._station(
                "cpu",
                {
                    "num_cpus": node["Resources"]["CPU"],
                    "scheduling_strategy": _only(node["NodeID"]),
                },
                {node["NodeID"]: name},
            )
            for name, node in nodes.items()
        ]

    def _station(
        self, device: str, options: Mapping[str, Any], names: Mapping[str, str]
    ) -> _Station:
        arguments = (self._settings.to_dict() | {"device": device}, device, self._outside_code)
        return _Station(self._ray, options, arguments, names)

    def _placed(self, stations: Sequence[_Station]) -> list[_Station]:
        """The stations that Ray finds room for; the others are given up."""
        refs = [station.actor.ready.remote() for station in stations]
        there, _ = self._ray.wait(refs, num_returns=len(refs), timeout=PLACING_SECONDS)
        placed = []
        for station, ref in zip(stations, refs, strict=True):
            if ref in there and self._is_alive(ref):
                placed.append(station)
            else:
                self._tell(f"{station.name} is left out: it has not all its cores or cards free")
                station.close()
        if not placed:
            raise UsageError(
                f"the Ray cluster has no free node or card within {PLACING_SECONDS:g} s",
                instead="wait until others are done, or look at ray status",
            )
        return placed

    def _is_alive(self, ref: Any) -> bool:
        try:
            self._ray.get(ref)
        except self._ray.exceptions.RayError:
            return False
        return True


class _Station:
    """An actor that hosts a post, as the dispatcher sees it.

    Args:
        ray: the module, connected.
        options: what the actor needs.
        arguments: of ``RayPost``.
        names: the names of nodes by their Ray ids.
    """

    def __init__(
        self,
        ray: Any,
        options: Mapping[str, Any],
        arguments: tuple[Any, ...],
        names: Mapping[str, str],
    ) -> None:
        self._ray, self._options, self._arguments = ray, options, arguments
        self._names = names
        self._place: Place | None = None
        self.actor = self._new_actor(options)

    @property
    def name(self) -> str:
        """What it is called before it is known where it is."""
        return ", ".join(self._names.values()) if self._place is None else self._place.label

    @property
    def place(self) -> Place:
        """The device; known once it has been greeted."""
        assert self._place is not None
        return self._place

    def greet(self) -> Future[None]:
        """Start the worker and find out what it stands on."""
        return self._answer(self.actor.greeting.remote(), self._meet)

    def submit(self, task: Task) -> Future[Outcome]:
        """Run a task."""
        return self._answer(self.actor.run.remote(task.to_dict()), _outcome)

    def revive(self) -> Future[None]:
        """Ask Ray for another actor on the same node: it may have lost the actor alone."""
        self.close()
        place = self.place
        node = next(node for node, name in self._names.items() if name == place.node)
        self.actor = self._new_actor({**self._options, "scheduling_strategy": _only(node)})
        return self._answer(self.actor.greeting.remote(), self._meet_again)

    def close(self) -> None:
        """End the actor, and with it its worker."""
        # One that Ray no longer knows has ended.
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(self.actor)

    def _new_actor(self, options: Mapping[str, Any]) -> Any:
        remote = self._ray.remote(RayPost)
        return remote.options(max_restarts=0, max_task_retries=0, **options).remote(
            *self._arguments
        )

    def _answer(self, ref: Any, read: Callable[[Any], Answer]) -> Future[Answer]:
        """What an actor's answer says; Ray's errors say that the actor is lost."""
        answer: Future[Answer] = Future()

        def take_in(asked: Future[Any]) -> None:
            try:
                answer.set_result(read(asked.result()))
            except self._ray.exceptions.RayError as error:
                said = " ".join(str(error).split())[:200]
                answer.set_exception(RunError(f"Ray lost it ({type(error).__name__}: {said})"))
            except Exception as error:  # whoever waits is told, whatever it was
                answer.set_exception(error)

        ref.future().add_done_callback(take_in)
        return answer

    def _meet(self, greeting: Mapping[str, Any]) -> None:
        node = self._names.get(greeting["node_id"], greeting["host"])
        if "error" in greeting:
            raise UsageError(f"node {node}: {greeting['error']}")
        cards = greeting["cards"]
        label = f"{node}/cuda:{cards[0]}" if cards else f"{node}/cpu"
        self._place = Place.of_greeting(greeting, label, node)

    def _meet_again(self, greeting: Mapping[str, Any]) -> None:
        before = self.place
        self._meet(greeting)
        if self.place.label != before.label:
            raise RunError(f"{before.label} did not come back")


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    if GONE in answer:
        raise RunError(str(answer[GONE]))
    return Outcome.from_dict(dict(answer))


def _only(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _has(node: Mapping[str, Any], resource: str) -> bool:
    return float(node["Resources"].get(resource, 0)) >= 1


def _named(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The nodes by the names of their machines; several on one machine are numbered."""
    hosts = [str(node["NodeManagerHostname"]) for node in nodes]
    counts, seen = Counter(hosts), Counter[str]()
    named = {}
    for host, node in sorted(zip(hosts, nodes, strict=True), key=lambda pair: pair[1]["NodeID"]):
        seen[host] += 1
        named[f"{host}-{seen[host]}" if counts[host] > 1 else host] = node
    return named


def _inventory(nodes: Sequence[Mapping[str, Any]]) -> str:
    cores = sum(float(node["Resources"].get("CPU", 0)) for node in nodes)
    cards = sum(float(node["Resources"].get("GPU", 0)) for node in nodes)
    return f"{len(nodes)} nodes, {cores:g} CPUs, {cards:g} GPUs"
