"""The probes of `aabench doctor`: on this machine, on kernel files and libraries that are made up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from simulated_nvml import NOT_SUPPORTED, UUID, NVMLError, SimulatedNvml, processes

from aabench.measuring.machine import device_probe, kernel_probe
from aabench.measuring.machine.folder_probe import try_folder
from aabench.measuring.machine.host_reading import read_host
from aabench.measuring.machine.kernel_probe import KERNELS, USES, try_kernels
from aabench.measuring.machine.nvml_probe import read_cards
from aabench.measuring.machine.probe import STAGES
from aabench.measuring.machine.processor_quota import quota_cores
from aabench.measuring.machine.toolchain import find_toolchain

CPU = torch.device("cpu")


def test_the_cpu_runs_flash_attention_unless_the_mask_is_learned():
    found = {(trial.kernel, trial.use): trial.problem for trial in try_kernels(CPU)}
    assert len(found) == len(KERNELS) * len(USES)
    ran = {key for key, problem in found.items() if problem is None}
    assert ran == {
        ("flash", "no mask"),
        ("flash", "constant mask"),
        *(("math", use) for use in USES),
    }
    assert "No available kernel" in found["flash", "learned mask"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_card_runs_a_fused_kernel_with_a_learned_mask():
    ran = {
        (trial.kernel, trial.use)
        for trial in try_kernels(torch.device("cuda:0"))
        if trial.problem is None
    }
    assert {("flash", "no mask"), ("efficient", "learned mask"), ("math", "learned mask")} <= ran
    assert ("flash", "constant mask") not in ran


@pytest.mark.parametrize("kernel", ["flash", "math"])
def test_another_kernel_than_the_one_asked_for_is_noticed(monkeypatch, kernel):
    def slow(q, k, v, attn_mask):
        return (q @ k.mT).softmax(-1) @ v

    def fused(q, k, v, attn_mask):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    other = slow if kernel == "flash" else fused
    monkeypatch.setattr(kernel_probe, "scaled_dot_product_attention", other)
    problems = [trial.problem for trial in try_kernels(CPU) if trial.kernel == kernel]
    assert all("ran instead" in problem for problem in problems)


def test_the_cpu_computes():
    device_probe.convolve(CPU)


def test_wrong_numbers_are_noticed(monkeypatch):
    conv2d = torch.nn.functional.conv2d
    monkeypatch.setattr(device_probe, "conv2d", lambda x, weight: conv2d(x, weight) + 1)
    with pytest.raises(ArithmeticError):
        device_probe.convolve(CPU)


def test_a_wrong_compilation_is_noticed(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    assert device_probe.compile_seconds(CPU) >= 0
    monkeypatch.setattr(torch, "compile", lambda function: lambda x: function(x) + 1)
    with pytest.raises(ArithmeticError):
        device_probe.compile_seconds(CPU)


def test_a_tiny_triton_kernel_is_right_in_the_interpreter():
    pytest.importorskip("triton")
    code = (
        "import torch\n"
        "from aabench.measuring.machine.triton_probe import run_triton\n"
        "run_triton(torch.device('cpu'))"
    )
    variables = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_one_broken_card_does_not_hide_the_others(monkeypatch):
    def convolve(device):
        if device.index == 1:
            raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(device_probe, "convolve", convolve)
    broken = "RuntimeError: no kernel image is available"
    devices = [(item["device"], item["problem"]) for item in STAGES["cuda"]()["devices"]]
    assert devices == [("cuda:0", None), ("cuda:1", broken), ("cuda:2", None)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_torch_says_why_there_is_no_card():
    found = STAGES["cuda"]()
    assert found["devices"] == []
    assert "CUDA" in found["why_none"] or "NVIDIA" in found["why_none"]


class SimulatedDriver(SimulatedNvml):
    """Cards by number, as a driver lists them; some of them are lost."""

    def __init__(self, cards=1, lost=(), **answers):
        super().__init__(**{"nvmlDeviceGetPowerManagementDefaultLimit": 700_000} | answers)
        self.cards, self.lost = cards, lost

    def nvmlDeviceGetCount(self):  # noqa: N802
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        if index in self.lost:
            raise NVMLError(15, "GPU is lost")
        return "handle"


def test_every_card_is_read_before_it_is_used():
    nvml = SimulatedDriver(nvmlDeviceGetComputeRunningProcesses=processes(5, 6))
    (card,) = read_cards(nvml)
    assert card.uuid == UUID
    assert card.reading.other_processes == 2
    assert card.default_power_limit_w == 700.0
    assert card.slice_of is None
    assert nvml.open == 0


@pytest.mark.parametrize("answer", [NVMLError(NOT_SUPPORTED), -1, True, "700", 10**12])
def test_a_power_limit_that_cannot_be_is_none(answer):
    nvml = SimulatedDriver(nvmlDeviceGetPowerManagementDefaultLimit=answer)
    (card,) = read_cards(nvml)
    assert card.default_power_limit_w is None


def test_slices_are_listed_with_the_card_that_they_are_of():
    nvml = SimulatedDriver(
        nvmlDeviceGetMaxMigDeviceCount=3, nvmlDeviceGetMigDeviceHandleByIndex=lambda: "handle"
    )
    assert [card.slice_of for card in read_cards(nvml)] == [None, UUID, UUID, UUID]


def test_a_lost_card_does_not_hide_the_others():
    lost, card = read_cards(SimulatedDriver(cards=2, lost=[0]))
    assert "GPU is lost" in lost.reading.problem
    assert card.uuid == UUID


def test_a_folder_that_does_not_exist_is_tried_where_it_would_be_made(tmp_path):
    reading = try_folder(tmp_path / "not" / "yet")
    assert reading.problem is None
    assert reading.free_bytes > 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in try_folder(tmp_path / "file" / "below").problem
    assert try_folder(tmp_path / "file").problem


def test_a_full_file_system_is_noticed(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "No space left" in try_folder(tmp_path).problem


def test_a_file_system_without_locks_is_noticed(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert "No locks available" in try_folder(tmp_path).problem


def kernel_files(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "cores"), [("200000 100000", 2.0), ("max 100000", None), ("", None), ("x y", None)]
)
def test_the_quota_of_version_2(tmp_path, text, cores):
    group = {"sys__fs__cgroup__job__cpu_dot_max": text}
    root = kernel_files(tmp_path, proc__self__cgroup="0::/job/inner\n", **group)
    assert quota_cores(root) == cores


def test_the_tightest_quota_counts(tmp_path):
    root = kernel_files(
        tmp_path,
        proc__self__cgroup="0::/job",
        sys__fs__cgroup__job__cpu_dot_max="800000 100000",
        sys__fs__cgroup__cpu_dot_max="150000 100000",
    )
    assert quota_cores(root) == 1.5


@pytest.mark.parametrize(("quota", "cores"), [("50000", 0.5), ("-1", None)])
def test_the_quota_of_version_1(tmp_path, quota, cores):
    root = kernel_files(tmp_path, proc__self__cgroup="5:memory:/job\n4:cpu,cpuacct:/job\nnonsense")
    folder = root / "sys/fs/cgroup/cpu,cpuacct/job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert quota_cores(root) == cores


def test_without_kernel_files_there_is_no_quota(tmp_path):
    assert quota_cores(tmp_path) is None


def test_this_host():
    host = read_host()
    assert host.cores >= host.usable_cores >= 1
    assert host.memory_bytes >= host.available_bytes > 0
    assert host.swap_used_bytes >= 0


def executable(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_toolchain_is_found_where_compilers_are_looked_for(tmp_path):
    mine, clang = executable(tmp_path, "my-cxx"), executable(tmp_path, "clang")
    (tmp_path / "Python.h").write_text("")
    search = {"PATH": str(tmp_path)}
    found = find_toolchain(search | {"CXX": "my-cxx"}, tmp_path)
    assert (found.cpp_path, found.c_path, found.has_python_headers) == (mine, clang, True)
    bare = find_toolchain(search | {"CC": "none"}, tmp_path / "elsewhere")
    assert (bare.cpp_path, bare.c_path, bare.has_python_headers) == (None, None, False)
