"""The disturbances: what on this machine would make figures noisy, slow or impossible to get.

Each rule is a function of the few readings that it judges, so that it can be tested without the
machine it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aabench.measuring.machine.byte_text import gib
from aabench.measuring.machine.finding import Finding, Level
from aabench.measuring.machine.host_reading import HostReading
from aabench.measuring.machine.nvml_probe import Card

FEW_CORES = 4

BUSY_CORES, BUSY_SHARE = 0.5, 0.1
"""Load that a machine may have beside a measurement: this much, or this share of the usable cores."""

LEAST_BYTES = 512 * 2**20
"""What a process that has imported torch takes before it has done anything."""

LITTLE_BYTES = 4 * 2**30
"""Memory with which the built-in profiles lose their larger cases."""

SWAPPED_BYTES = 256 * 2**20

TAKEN_SHARE = 0.05
"""Share of a card's memory in use from which somebody must be using it; drivers take less."""

POWER_TOLERANCE_W = 1.0

DISTURBING_VARIABLES = {
    "CUDA_LAUNCH_BLOCKING": "the host waits for every kernel",
    "PYTORCH_NO_CUDA_MEMORY_CACHING": "every allocation goes to the driver",
    "NVIDIA_TF32_OVERRIDE": "--precision fp32 and tf32 may not be what they say",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "--precision fp32 and tf32 may not be what they say",
}
"""Environment variables under which figures are those of another machine, and why."""


def processor_disturbances(
    host: HostReading, environment: Mapping[str, object]
) -> Iterator[Finding]:
    """Few cores, load, a quota, a governor that saves power.

    Args:
        host: the machine now.
        environment: as ``describe_environment`` gives it; may be empty.

    """
    if host.usable_cores < FEW_CORES:
        yield _disturbance(
            f"only {_counted(host.usable_cores, 'usable core')}: whatever else runs takes time from "
            "the measurement",
            "let nothing else run meanwhile, and raise --seconds-per-case",
        )
    yield from _load(host)
    threads = environment.get("torch_threads")
    if host.quota_cores is not None and isinstance(threads, int) and threads > host.quota_cores:
        yield _disturbance(
            f"the container may use {host.quota_cores:.2g} cores' time, but torch starts {threads} "
            "threads, which the kernel stops in every period",
            f"set OMP_NUM_THREADS={max(1, int(host.quota_cores))}",
        )
    governor = environment.get("governor")
    if isinstance(governor, str) and governor != "performance":
        yield _disturbance(
            f"the CPU governor is {governor}: clocks change with the load",
            "`sudo cpupower frequency-set --governor performance`",
        )


def memory_disturbances(host: HostReading) -> Iterator[Finding]:
    """Little memory, or memory that was moved to disk."""
    has = f"{gib(host.available_bytes)} of {gib(host.memory_bytes)} memory available"
    level: Level = "blocks" if host.available_bytes < LEAST_BYTES else "warning"
    if host.available_bytes < LITTLE_BYTES:
        lost = "torch cannot even start" if level == "blocks" else "larger cases will be skipped"
        yield _disturbance(
            f"only {has}: {lost}", "end what holds memory (`top -o %MEM` shows it)", level
        )
    if host.swap_used_bytes > SWAPPED_BYTES:
        yield _disturbance(
            f"{gib(host.swap_used_bytes)} of memory are swapped out; what comes back from the disk "
            "does so at the cost of the case that is being measured",
            "end what holds memory, or turn swap off and on again (`sudo swapoff -a`, `sudo swapon -a`)",
        )


def variable_disturbances(environment: Mapping[str, object]) -> Iterator[Finding]:
    """Environment variables that change what is measured."""
    variables = environment.get("variables")
    for name, value in variables.items() if isinstance(variables, Mapping) else ():
        if name in DISTURBING_VARIABLES and value:
            yield _disturbance(
                f"{name}={value} is set: {DISTURBING_VARIABLES[name]}", f"`unset {name}`"
            )


def card_disturbances(name: str, card: Card) -> Iterator[Finding]:
    """Other processes, clocks held down, a lowered power limit.

    Args:
        name: what to call the card.
        card: as it was before this process used it.

    """
    reading = card.reading
    yield from _company(name, card)
    if reading.slowdowns:
        yield _disturbance(
            f"{name}: clocks are held down now: {', '.join(reading.slowdowns)}",
            "improve cooling, wait, or compare only runs that were throttled alike",
        )
    limit, default = reading.power_limit_w, card.default_power_limit_w
    if limit is not None and default is not None and limit < default - POWER_TOLERANCE_W:
        yield _disturbance(
            f"{name}: the power limit is {limit:.0f} W, the card's default {default:.0f} W",
            f"`sudo nvidia-smi -i {card.uuid} -pl {default:.0f}`, or compare only runs under this "
            "limit",
        )


def _company(name: str, card: Card) -> Iterator[Finding]:
    """Processes on a card, seen by themselves or by the memory that they take."""
    used, total = card.reading.memory_used_bytes, card.reading.memory_total_bytes
    memory = f"{gib(used)} of {gib(total)}" if used is not None and total is not None else None
    others = card.reading.other_processes
    if others:
        holding = f", which holds {memory}" if memory and others == 1 else ""
        holding = f", which hold {memory}" if memory and others > 1 else holding
        yield _disturbance(
            f"{name}: {_counted(others, 'process', 'processes')} on the card{holding}",
            "end what is not needed (`nvidia-smi` lists it), or take another card with --device cuda:N",
        )
    elif used is not None and total is not None and used > TAKEN_SHARE * total:
        yield _disturbance(
            f"{name}: {memory} are in use by processes that cannot be seen from here",
            "look with `nvidia-smi` outside of this container, or take another card",
        )


def _load(host: HostReading) -> Iterator[Finding]:
    """Load beyond what the cores that this process may not use can take."""
    if host.load is None:
        return
    disturbing = host.load - (host.cores - host.usable_cores)
    if disturbing > max(BUSY_CORES, BUSY_SHARE * host.usable_cores):
        yield _disturbance(
            f"load {host.load:.1f} on {_counted(host.cores, 'core')}: something else computes here",
            "end what computes (`top` shows it), wait a minute and look again",
        )


def _disturbance(text: str, remedy: str, level: Level = "warning") -> Finding:
    return Finding("disturbances", level, text, remedy)


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
