"""The environment of a run: what every place of it says of itself, stored once and compared on resuming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aabench.errors import UsageError
from aabench.measuring.comparability import environment_differences, software_differences
from aabench.runs.folder import RunFolder
from aabench.runs.place import Place

PLACES = "places"
"""The key under which a run on several devices, or on a cluster, has an environment for each of them."""

MOST_DIFFERENCES = 6
"""So many are named; one is enough to know what to do."""


def settle_environment(folder: RunFolder, places: Sequence[Place]) -> None:
    """Store the environment of a new run; compare it with what is there if one is resumed.

    A place that was there before must be as it was. One that joins must have the same software; what
    device it is, its rows say.

    Raises:
        UsageError: this is not the environment that the run began in.
    """
    stored = folder.environment()
    if stored is None:
        folder.write_environment(environment_of(places))
        return
    before = places_in(stored)
    for place in places:
        _check_place(place, before, folder.path)
    joined = {place.label: place.to_dict() for place in places if place.label not in before}
    if joined:
        folder.write_environment({**stored, PLACES: {**before, **joined}})


def environment_of(places: Sequence[Place]) -> dict[str, Any]:
    """What is stored of some places: the first one's environment, and of several each one's."""
    first = places[0]
    environment = {"device": first.facts.to_dict(), **first.environment}
    if len(places) > 1 or first.node:
        environment[PLACES] = {place.label: place.to_dict() for place in places}
    return environment


def places_in(stored: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The environment of each place by its label, of a stored environment."""
    if PLACES in stored:
        return dict(stored[PLACES])
    device = stored.get("device")
    return {str(device["device"]) if device else "": dict(stored)}


def devices_in(stored: Mapping[str, Any] | None) -> str:
    """The devices of a run in words, such as ``4 x NVIDIA T4, NVIDIA A10``; "" if it does not say."""
    devices = [place.get("device") for place in places_in(stored or {}).values()]
    names = [str(device["name"]) for device in devices if device]
    counts = {name: names.count(name) for name in names}
    return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in counts.items())


def check_same_software(places: Sequence[Place]) -> None:
    """Refuse places whose figures would differ for another reason than the device.

    Raises:
        UsageError: names what differs, and where.
    """
    first = places[0]
    for place in places[1:]:
        found = software_differences(first.environment, place.environment)
        if found:
            told = [each.told(f"on {first.label}", f"on {place.label}") for each in found]
            raise UsageError(
                "the places do not have the same software",
                got="; ".join(told[:MOST_DIFFERENCES]),
                instead="install the same versions everywhere, or leave a place out",
            )


def _check_place(place: Place, before: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    if place.label in before:
        told = environment_differences(before[place.label], place.environment)
    else:
        known = next(iter(before.values()))
        differing = software_differences(place.environment, known)
        told = [each.told(f"on {place.label}", "in the run") for each in differing]
    if told:
        raise UsageError(
            f"{path} was begun in another environment",
            got="; ".join(told[:MOST_DIFFERENCES]),
            instead="give another --out folder, or --again to start anew",
        )
