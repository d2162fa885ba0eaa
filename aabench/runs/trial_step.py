"""The step of a trial: a real network on a real device, measured against a cap."""

from __future__ import annotations

import torch
from torch import nn

from aabench.cases.case import Case
from aabench.cost.traced.network_step import NetworkStep
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.networks.building import build_network
from aabench.networks.case_network import build_case_network
from aabench.networks.checkpointing import checkpoint_modules
from aabench.networks.planned import follow_plan
from aabench.runs.subject import numeric_flags
from aabench.runs.trial import SEED, Outcome, Trial, TrialResult

STEPS = 3
"""Steps that a trial on CUDA runs: optimiser state and library workspaces come with the first."""


def try_step(trial: Trial) -> TrialResult:
    """Run the steps of a trial in this process.

    On CUDA the allocator is capped at what the cap leaves beside what is in use outside of it: the
    context, and other processes. On the CPU the step runs as it is, and the most bytes that the
    allocator handed out are held against the cap.
    """
    device = torch.device(trial.device)
    precision = Case(trial.network, precision=trial.settings.precision)
    with numeric_flags(precision):
        if device.type == "cuda":
            return _on_cuda(trial, device)
        step = _step(trial, device)
        peak = measure_cpu_memory(step, step.base_tensors).peak_allocated_bytes
    is_over = peak > trial.cap_bytes
    return TrialResult(Outcome.OUT_OF_MEMORY if is_over else Outcome.FITTED, peak)


def _on_cuda(trial: Trial, device: torch.device) -> TrialResult:
    torch.cuda.init()
    free, total = torch.cuda.mem_get_info(device)
    outside = total - free - torch.cuda.memory_reserved(device)
    fraction = (trial.cap_bytes - outside) / total
    if fraction <= 0:
        reason = f"{outside} bytes are in use outside of the allocator"
        return TrialResult(Outcome.OUT_OF_MEMORY, None, reason)
    torch.cuda.set_per_process_memory_fraction(min(1.0, fraction), device)
    try:
        step = _step(trial, device)
        for _ in range(STEPS):
            step.run()
            step.reset()
        torch.cuda.synchronize(device)
    except torch.OutOfMemoryError as error:
        return TrialResult(Outcome.OUT_OF_MEMORY, None, str(error).splitlines()[0])
    free, total = torch.cuda.mem_get_info(device)
    outside = total - free - torch.cuda.memory_reserved(device)
    return TrialResult(Outcome.FITTED, torch.cuda.max_memory_reserved(device) + outside)


def _step(trial: Trial, device: torch.device) -> NetworkStep:
    torch.manual_seed(SEED)
    settings = trial.settings
    model = _model(trial, device).to(settings.dtype).to(memory_format=settings.layout)
    channels, height, width = (
        trial.network.channels,
        trial.network.height,
        trial.network.width,
    )
    x = torch.randn(trial.batch, channels, height, width, device=device, dtype=settings.dtype)
    return NetworkStep(model, x.to(memory_format=settings.layout), settings)


def _model(trial: Trial, device: torch.device) -> nn.Module:
    """The network as a user would build it from a plan."""
    with device:
        if trial.plan is None:
            model = build_case_network(trial.network, trial.attention)
            checkpoint_modules(model, trial.settings.checkpointed)
        else:
            network = trial.network
            model = build_network(network.name, resolution=(network.height, network.width))
            follow_plan(model, trial.plan)
    return model.to(device)
