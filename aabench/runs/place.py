"""The place: one device that runs one case at a time, named as the results name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aabench.runs.device_facts import DeviceFacts


@dataclass(frozen=True)
class Place:
    """One device that runs one case at a time.

    Attributes:
        label: its name in the results: ``cpu``, ``cuda:1``, on a cluster ``node-3/cuda:1``.
        facts: the device as the worker there sees it; on a cluster every worker sees its own card alone,
            as ``cuda:0``.
        environment: of the worker, as ``describe_environment`` gives it.
        node: the machine's name on a cluster; "" for this machine.
    """

    label: str
    facts: DeviceFacts
    environment: Mapping[str, Any]
    node: str = ""

    @classmethod
    def of_greeting(cls, greeting: Mapping[str, Any], label: str = "", node: str = "") -> Place:
        """The place that a worker's greeting describes; its label is the device unless given."""
        facts = DeviceFacts.from_dict(greeting["device"])
        return cls(label or facts.device, facts, greeting["environment"], node)

    @property
    def kind(self) -> str:
        """What places must share for their figures to stand beside each other: the device's model.

        Processors with other numbers of threads are other machines, whatever their name.
        """
        threads = self.environment.get("torch_threads")
        if self.facts.type != "cpu" or threads is None:
            return self.facts.name
        return f"{self.facts.name}, {threads} thread" + ("" if threads == 1 else "s")

    def to_dict(self) -> dict[str, Any]:
        """The place as the environment of a run stores it."""
        return {"node": self.node, "device": self.facts.to_dict(), **self.environment}
