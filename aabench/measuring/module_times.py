"""The times of modules: how long each module's forward pass takes within its network's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn


def forward_seconds(
    model: nn.Module,
    names: Iterable[str],
    forward: Callable[[], object],
    *,
    repeats: int = 5,
    synchronize: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """The median seconds that some modules' forward passes take, all modules inside them included.

    The first pass warms up and does not count. On an accelerator the device is waited for before and
    after each module, so that their times add up to more than the network's own: they show where
    the time goes, and are no figure of its latency.

    Args:
        model: in the mode in which it is to be timed.
        names: of modules, as in ``named_modules``.
        forward: runs the model once.
        repeats: passes that count.
        synchronize: waits for the device; None where work is done when a call returns.
        clock: seconds that only grow.
    """
    wait = synchronize or (lambda: None)
    totals: dict[str, float] = {}
    starts: dict[str, float] = {}

    def enter(name: str) -> Callable[..., None]:
        def note(*_: Any) -> None:
            wait()
            starts[name] = clock()

        return note

    def leave(name: str) -> Callable[..., None]:
        def note(*_: Any) -> None:
            wait()
            # A module that runs several times in one pass takes all of them together.
            totals[name] = totals.get(name, 0.0) + clock() - starts[name]

        return note

    modules = dict(model.named_modules())
    hooks = []
    for name in names:
        hooks.append(modules[name].register_forward_pre_hook(enter(name)))
        hooks.append(modules[name].register_forward_hook(leave(name)))
    passes: list[dict[str, float]] = []
    try:
        forward()
        for _ in range(repeats):
            totals.clear()
            forward()
            passes.append(dict(totals))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: statistics.median(each[name] for each in passes) for name in passes[0]}
