"""How long a sweep should take: sampling time, fixed work per case, and steps too long to repeat."""

from __future__ import annotations

import time

from aabench.runs.device_facts import DeviceFacts
from aabench.runs.plan import Plan
from aabench.runs.predicting import target_of
from aabench.runs.prediction import closed_form_figures
from aabench.runs.settings import RunSettings

OVERHEAD_SECONDS = 0.35
"""Building, checking and the memory pass of a small case; seen on two CPU cores."""

STEPS_BESIDE_SAMPLES = 4
"""First call, warm-up, memory pass and check each run about one step."""

ATTAINED_SHARE = 0.3
"""Of the matrix rate that a whole layer attains: it is an estimate, and errs on the long side."""

CUDA_FLOPS_PER_S = 1e13
"""Any card that is in use today is quicker than this."""


def estimated_seconds(plan: Plan, settings: RunSettings, facts: DeviceFacts) -> float:
    """Seconds that a plan should take on a device; right to about a factor of two."""
    rate = ATTAINED_SHARE * (matrix_flops_per_s() if facts.type == "cpu" else CUDA_FLOPS_PER_S)
    predicted = closed_form_figures(plan.cases, target_of(facts))
    total = 0.0
    for key in plan.cases:
        step = (predicted.get(key, {}).get("flops") or 0) / rate
        sampling = max(settings.seconds_per_round(facts.type), step)
        total += (
            settings.rounds * (sampling + step) + OVERHEAD_SECONDS + STEPS_BESIDE_SAMPLES * step
        )
    return total


def matrix_flops_per_s(side: int = 768) -> float:
    """The rate of a single-precision matrix product here, from the best of three."""
    import numpy as np

    a = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return float(2 * side**3 / min(times))
