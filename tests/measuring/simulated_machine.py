"""Machines that a test makes up: what an examination would have seen of them."""

from dataclasses import replace

from aabench.measuring.machine.examination import Examination
from aabench.measuring.machine.folder_probe import FolderReading
from aabench.measuring.machine.host_reading import HostReading
from aabench.measuring.machine.probe_process import Answer
from aabench.measuring.machine.tested_versions import NeededPackage
from aabench.measuring.machine.toolchain import Toolchain

GiB = 2**30

UUID = "GPU-01234567-89ab-cdef-0123-456789abcdef"

ROOMY_HOST = HostReading(
    cores=16,
    usable_cores=16,
    quota_cores=None,
    load=0.2,
    memory_bytes=64 * GiB,
    available_bytes=60 * GiB,
    swap_used_bytes=0,
)

READING = {
    "name": "NVIDIA T4",
    "uuid": UUID,
    "driver": "580.65",
    "memory_total_bytes": 16 * GiB,
    "memory_used_bytes": GiB // 4,
    "sm_clock_hz": 300_000_000,
    "memory_clock_hz": 405_000_000,
    "temperature_c": 35,
    "power_w": 10.0,
    "power_limit_w": 70.0,
    "clock_reasons": ["idle"],
    "slowed_s": 0.0,
    "other_processes": 0,
    "energy_j": 1.0,
    "problem": None,
}

CARD = {"uuid": UUID, "reading": READING, "default_power_limit_w": 70.0, "slice_of": None}

GPU = {
    "name": "Tesla T4",
    "uuid": UUID,
    "driver": "580.65",
    "capability": "7.5",
    "memory_total_bytes": 15 * GiB,
    "problem": None,
}

ENVIRONMENT = {
    "cpu": "Imaginary 9000",
    "cpu_capability": "AVX2",
    "governor": "performance",
    "torch_threads": 16,
    "triton": "3.9.0",
    "variables": {},
    "gpus": [],
}


def trials(device, **uses):
    """Kernel trials: by kernel, the uses in which it ran."""
    every = ("no mask", "constant mask", "learned mask")
    return [
        {"device": device, "kernel": kernel, "use": use, "problem": None if use in ran else "no"}
        for kernel, ran in uses.items()
        for use in every
    ]


ANSWERS = {
    "nvml": Answer(problem="no library"),
    "torch": Answer({"version": "2.15.0", "cuda": None}),
    "environment": Answer(ENVIRONMENT),
    "cpu": Answer(facts=True),
    "cpu kernels": Answer(trials("cpu", flash=("no mask",), math=("no mask",))),
    "cuda": Answer({"devices": [], "why_none": "no driver"}),
}

CUDA_ANSWERS = ANSWERS | {
    "nvml": Answer([CARD]),
    "torch": Answer({"version": "2.15.0+cu130", "cuda": "13.0"}),
    "environment": Answer(ENVIRONMENT | {"gpus": [GPU]}),
    "cuda": Answer({"devices": [{"device": "cuda:0", "problem": None}]}),
    "cuda kernels": Answer(trials("cuda:0", efficient=("no mask",), math=("no mask",))),
    "triton": Answer(facts=True),
}

HEALTHY = Examination(
    answers=ANSWERS,
    host=ROOMY_HOST,
    toolchain=Toolchain("g++", "/usr/bin/g++", "/usr/bin/gcc", has_python_headers=True),
    packages=[NeededPackage("torch", "2.15.0", "2.11", "2.15")],
    results=FolderReading("results", 100 * GiB),
)

HEALTHY_CUDA = replace(HEALTHY, answers=CUDA_ANSWERS)


def with_answers(seen, **answers):
    """The same machine with other answers; ``cpu_kernels`` stands for the stage ``cpu kernels``."""
    changed = {stage.replace("_", " "): answer for stage, answer in answers.items()}
    return replace(seen, answers={**seen.answers, **changed})


def with_environment(seen, **fields):
    """The same machine with another environment."""
    return with_answers(seen, environment=Answer({**seen.environment, **fields}))


def with_card(seen, *, default_power_limit_w=70.0, **reading):
    """The same machine with another reading of its card."""
    card = CARD | {"default_power_limit_w": default_power_limit_w, "reading": READING | reading}
    return with_answers(seen, nvml=Answer([card]))
