"""The device findings: which devices compute, why others do not, and whether NVML watches them.

Pure functions of an examination.
"""

from __future__ import annotations

from collections.abc import Iterator

from aabench.measuring.machine.byte_text import gib
from aabench.measuring.machine.examination import Examination
from aabench.measuring.machine.finding import Finding


def device_findings(seen: Examination) -> Iterator[Finding]:
    """The CPU and every CUDA device, each with whether it really computes."""
    problem = seen.problem("torch")
    if problem is not None:
        yield Finding(
            "devices",
            "blocks",
            f"torch cannot be imported: {problem}",
            "install torch anew into this environment; pytorch.org/get-started gives the command",
        )
        return
    problem = seen.problem("environment")
    if problem is not None:
        yield Finding(
            "devices",
            "blocks",
            f"this machine cannot be described, so no sweep can start here: {problem}",
            "see whether `nvidia-smi` answers; `CUDA_VISIBLE_DEVICES= aabench doctor` leaves the cards out",
        )
    yield from _cpu(seen)
    yield from _cards(seen)
    if seen.problem("cpu") is not None and not seen.working_cards:
        yield Finding(
            "devices",
            "blocks",
            "no device computes, so nothing can be measured",
            "install torch anew",
        )


def _cpu(seen: Examination) -> Iterator[Finding]:
    problem = seen.problem("cpu")
    if problem is not None:
        yield Finding(
            "devices",
            "warning",
            f"cpu: a small convolution failed: {problem}",
            "install torch anew, or measure on a card with --device cuda",
        )
        return
    known = seen.environment
    capability = known.get("cpu_capability")
    instructions = f", {capability}" if capability else ""
    yield Finding(
        "devices",
        "ok",
        f"cpu: {known.get('cpu') or 'unknown model'}{instructions}, {seen.host.usable_cores} of "
        f"{seen.host.cores} cores usable, {known.get('torch_threads', '?')} threads, "
        f"{gib(seen.host.available_bytes)} of {gib(seen.host.memory_bytes)} memory available",
    )


def _cards(seen: Examination) -> Iterator[Finding]:
    """Every CUDA device that torch sees, or why it sees none."""
    problem = seen.problem("cuda")
    if problem is not None:
        yield Finding(
            "devices",
            "warning",
            f"CUDA cannot be used: {problem}",
            "see whether `nvidia-smi` answers; until then measure with --device cpu",
        )
        return
    found = seen.facts("cuda") or {"devices": []}
    gpus = seen.environment.get("gpus") or []
    for item, gpu in zip(found["devices"], gpus, strict=False):
        name = f"{item['device']}: {gpu['name']}"
        if item["problem"] is None:
            yield Finding(
                "devices",
                "ok",
                f"{name}, {gib(gpu['memory_total_bytes'])}, compute capability {gpu['capability']}, "
                f"driver {gpu['driver'] or 'unknown'}",
            )
        else:
            yield Finding(
                "devices",
                "warning",
                f"{name} cannot be used: {item['problem']}",
                "free the card or restart the machine; until then take another with --device",
            )
    if not found["devices"]:
        yield from _no_card(seen, found.get("why_none", "torch does not say why"))


def _no_card(seen: Examination, why: str) -> Iterator[Finding]:
    """Torch sees no card: no matter where there is none, a mistake where there is one."""
    if "cuda" not in seen.answers:
        return
    cards = [card.reading.name or card.uuid for card in seen.nvml_cards if card.slice_of is None]
    if not cards:
        yield Finding(
            "devices",
            "note",
            "no CUDA device: figures are those of the CPU",
            "`aabench sweep` takes a CUDA device by itself where there is one",
        )
        return
    hidden = (seen.environment.get("variables") or {}).get("CUDA_VISIBLE_DEVICES")
    if (seen.facts("torch") or {}).get("cuda") is None:
        remedy = (
            "this torch is built for the CPU: install a CUDA build; see pytorch.org/get-started"
        )
    elif hidden is not None:
        remedy = f"CUDA_VISIBLE_DEVICES={hidden} hides them: `unset CUDA_VISIBLE_DEVICES`"
    else:
        remedy = "update the driver, or install a torch built for the CUDA version that it supports"
    yield Finding(
        "devices", "warning", f"torch does not see this machine's {', '.join(cards)}: {why}", remedy
    )


def nvml_findings(seen: Examination) -> Iterator[Finding]:
    """Whether the driver's monitoring answers; of no matter where torch sees no card."""
    gpus = seen.environment.get("gpus") or []
    problem = seen.problem("nvml") or next((gpu["problem"] for gpu in gpus if gpu["problem"]), None)
    if problem is None:
        if gpus:
            yield Finding(
                "devices", "ok", "NVML answers: energy, clocks and other processes are seen"
            )
    elif gpus:
        yield Finding(
            "devices",
            "warning",
            f"NVML: {problem}; energy, clocks and other processes may not be seen",
            "`python -m pip install nvidia-ml-py`; in a container, set "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        )
    else:
        yield Finding(
            "devices", "note", f"NVML: {problem}", "nothing to do: only CUDA devices want it"
        )
