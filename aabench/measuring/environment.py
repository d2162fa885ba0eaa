"""The environment: everything about this process and machine that figures depend on, as JSON values."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import aabench
from aabench.measuring.available_memory import ROOT, available_bytes, limit_bytes, total_bytes
from aabench.measuring.nvml import GpuReader

VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "CUDA_VISIBLE_DEVICES",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
    "LD_PRELOAD",
    "MALLOC_CONF",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "ONEDNN_MAX_CPU_ISA",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Environment variables that change speed, memory or numbers."""

GIT_SECONDS = 5.0


def describe_environment(
    root: Path = ROOT, open_gpu: Callable[[str], GpuReader] = GpuReader
) -> dict[str, object]:
    """Describe the process that measures and the machine it is on.

    Which of these fields two runs must agree on, ``aabench.measuring.comparability`` says.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
        open_gpu: makes the reader of the card with a given UUID.

    Returns:
        JSON-able values by name, in bytes, seconds, watts and hertz; None is what is not known here.

    """
    return {
        **_software(),
        **_processor(root),
        **_numerics(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "gpus": _gpus(open_gpu),
    }


def _software() -> dict[str, object]:
    revision, is_modified = _revision(Path(aabench.__file__).parent.parent)
    return {
        "aabench": aabench.__version__,
        "aabench_revision": revision,
        "aabench_modified": is_modified,
        "python": platform.python_version(),
        "os": platform.platform(),
        "torch": str(torch.__version__),
        "torchvision": _installed("torchvision"),
        "triton": _installed("triton"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
    }


def _processor(root: Path) -> dict[str, object]:
    return {
        "cpu": _cpu_model(root),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "governor": _first_line(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load_1_min": _load(),
        "memory_total_bytes": total_bytes(root),
        "memory_available_bytes": available_bytes(root),
        "memory_limit_bytes": limit_bytes(root),
        "torch_threads": torch.get_num_threads(),
        "torch_interop_threads": torch.get_num_interop_threads(),
    }


def _numerics() -> dict[str, object]:
    """Switches that trade accuracy for speed, or choose kernels.

    Precision is read through ``fp32_precision``: the older switches raise once the newer ones have
    been used.
    """
    cudnn = torch.backends.cudnn
    return {
        "matmul_fp32_precision": _setting(torch.backends.cuda.matmul, "fp32_precision"),
        "cudnn_conv_fp32_precision": _setting(getattr(cudnn, "conv", None), "fp32_precision"),
        "cudnn_enabled": bool(cudnn.enabled),
        "cudnn_benchmark": bool(cudnn.benchmark),
        "cudnn_deterministic": bool(cudnn.deterministic),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "onednn": torch.backends.mkldnn.is_available()
        and bool(_setting(torch.backends.mkldnn, "enabled")),
    }


def _gpus(open_gpu: Callable[[str], GpuReader]) -> list[dict[str, object]]:
    """The CUDA devices that torch sees, in its order."""
    if not torch.cuda.is_available():
        return []
    return [_gpu(index, open_gpu) for index in range(torch.cuda.device_count())]


def _gpu(index: int, open_gpu: Callable[[str], GpuReader]) -> dict[str, object]:
    properties: Any = torch.cuda.get_device_properties(index)
    with open_gpu(str(properties.uuid)) as reader:
        reading = reader.read()
    return {
        "name": properties.name,
        "uuid": reading.uuid or str(properties.uuid),
        "driver": reading.driver,
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_total_bytes": properties.total_memory,
        "l2_bytes": properties.L2_cache_size,
        "power_limit_w": reading.power_limit_w,
        "sm_clock_hz": reading.sm_clock_hz,
        "memory_clock_hz": reading.memory_clock_hz,
        "temperature_c": reading.temperature_c,
        "clock_reasons": None if reading.clock_reasons is None else list(reading.clock_reasons),
        "other_processes": reading.other_processes,
        "problem": reading.problem,
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _revision(folder: Path) -> tuple[str | None, bool | None]:
    """The commit of a source tree and whether files differ from it; None outside of a git checkout."""
    if not (folder / ".git").exists():
        return None, None
    revision = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return revision or None, None if changes is None else bool(changes)


def _git(folder: Path, *words: str) -> str | None:
    """What git prints; None if it is not there or fails, as before the first commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model(root: Path) -> str | None:
    """The processor's name from the kernel, or whatever the platform calls it."""
    try:
        lines = (root / "proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or None


def _usable_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def _setting(owner: Any, name: str) -> Any:
    """A switch of torch; None if this release does not have it."""
    return getattr(owner, name, None)
