"""Every rule of `aabench doctor`, on machines that are made up."""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from simulated_machine import (
    CARD,
    ENVIRONMENT,
    GPU,
    HEALTHY,
    HEALTHY_CUDA,
    READING,
    GiB,
    trials,
    with_answers,
    with_card,
    with_environment,
)

import aabench
from aabench.measuring.environment import VARIABLES, describe_environment
from aabench.measuring.gpu_reading import GpuReading
from aabench.measuring.machine.diagnosis import diagnose
from aabench.measuring.machine.disturbances import DISTURBING_VARIABLES
from aabench.measuring.machine.finding import can_measure
from aabench.measuring.machine.folder_probe import FolderReading
from aabench.measuring.machine.nvml_probe import Card
from aabench.measuring.machine.probe_process import Answer
from aabench.measuring.machine.tested_versions import (
    NEWEST_TESTED,
    NeededPackage,
    needed_packages,
    version_findings,
)
from aabench.measuring.machine.toolchain import Toolchain

FAILED = Answer(problem="it broke")


def without(seen, *stages):
    answers = {name: answer for name, answer in seen.answers.items() if name not in stages}
    return replace(seen, answers=answers)


def of_level(seen, *levels):
    return [finding for finding in diagnose(seen) if finding.level in levels]


@pytest.mark.parametrize("seen", [HEALTHY, HEALTHY_CUDA])
def test_a_healthy_machine_has_nothing_to_warn_of(seen):
    assert of_level(seen, "warning", "blocks") == []
    assert can_measure(diagnose(seen))


def test_a_card_is_described():
    texts = [finding.text for finding in of_level(HEALTHY_CUDA, "ok")]
    assert "cuda:0: Tesla T4, 15.0 GiB, compute capability 7.5, driver 580.65" in texts
    assert any(text.startswith("NVML answers") for text in texts)
    assert "Triton 3.9.0 compiled and ran a kernel" in texts


def host(seen, **changes):
    return replace(seen, host=replace(seen.host, **changes))


WARNINGS = {
    "few cores": (host(HEALTHY, cores=2, usable_cores=2), "2 usable cores", "let nothing else"),
    "one core": (host(HEALTHY, cores=1, usable_cores=1), "1 usable core:", "let nothing else"),
    "load": (host(HEALTHY, load=3.1), "load 3.1 on 16 cores", "`top`"),
    "load on other cores than ours": (
        host(HEALTHY, cores=16, usable_cores=4, load=13.0),
        "load 13.0",
        "`top`",
    ),
    "quota": (host(HEALTHY, quota_cores=2.5), "2.5 cores' time", "OMP_NUM_THREADS=2"),
    "governor": (with_environment(HEALTHY, governor="powersave"), "powersave", "cpupower"),
    "little memory": (
        host(HEALTHY, available_bytes=2 * GiB),
        "2.0 GiB of 64.0 GiB",
        "end what holds",
    ),
    "swap": (host(HEALTHY, swap_used_bytes=3 * GiB), "3.0 GiB of memory are swapped", "swapoff"),
    "launch blocking": (
        with_environment(HEALTHY, variables={"CUDA_LAUNCH_BLOCKING": "1"}),
        "CUDA_LAUNCH_BLOCKING=1",
        "`unset CUDA_LAUNCH_BLOCKING`",
    ),
    "a process on the card": (
        with_card(HEALTHY_CUDA, other_processes=1, memory_used_bytes=4 * GiB),
        "1 process on the card, which holds 4.0 GiB of 16.0 GiB",
        "`nvidia-smi`",
    ),
    "hidden processes on the card": (
        with_card(HEALTHY_CUDA, memory_used_bytes=4 * GiB),
        "cannot be seen",
        "outside of this container",
    ),
    "throttled": (
        with_card(HEALTHY_CUDA, clock_reasons=["hardware thermal slowdown"]),
        "hardware thermal slowdown",
        "cooling",
    ),
    "power cap": (
        with_card(HEALTHY_CUDA, power_limit_w=50.0),
        "50 W, the card's default 70 W",
        f"`sudo nvidia-smi -i {CARD['uuid']} -pl 70`",
    ),
    "broken card": (
        with_answers(
            HEALTHY_CUDA,
            cuda=Answer({"devices": [{"device": "cuda:0", "problem": "no kernel image"}]}),
        ),
        "cuda:0: Tesla T4 cannot be used: no kernel image",
        "--device",
    ),
    "broken CUDA": (
        without(with_answers(HEALTHY_CUDA, cuda=FAILED), "triton", "cuda kernels"),
        "CUDA cannot be used: it broke",
        "--device cpu",
    ),
    "CPU that miscalculates": (
        with_answers(HEALTHY_CUDA, cpu=FAILED),
        "cpu: a small convolution failed: it broke",
        "--device cuda",
    ),
    "NVML missing where it is wanted": (
        with_answers(HEALTHY_CUDA, nvml=FAILED),
        "NVML: it broke",
        "nvidia-ml-py",
    ),
    "NVML failing for a card": (
        with_environment(HEALTHY_CUDA, gpus=[GPU | {"problem": "no permission"}]),
        "NVML: no permission",
        "nvidia-ml-py",
    ),
    "a CPU build on a GPU machine": (
        with_answers(HEALTHY, nvml=Answer([CARD])),
        "does not see this machine's NVIDIA T4: no driver",
        "built for the CPU",
    ),
    "an old driver": (
        with_answers(HEALTHY, nvml=Answer([CARD]), torch=Answer({"cuda": "13.0"})),
        "does not see this machine's NVIDIA T4",
        "update the driver",
    ),
    "a hidden card": (
        with_environment(
            with_answers(HEALTHY, nvml=Answer([CARD]), torch=Answer({"cuda": "13.0"})),
            variables={"CUDA_VISIBLE_DEVICES": "-1"},
        ),
        "does not see this machine's NVIDIA T4",
        "CUDA_VISIBLE_DEVICES=-1 hides",
    ),
    "no fused kernel": (
        with_answers(HEALTHY, cpu_kernels=Answer(trials("cpu", flash=(), math=("no mask",)))),
        "runs math (no mask); not here: flash",
        "install a build",
    ),
    "no kernel at all": (
        with_answers(HEALTHY, cpu_kernels=Answer(trials("cpu", flash=(), math=()))),
        "no kernel at all",
        "install a build",
    ),
    "attention that crashes": (
        with_answers(HEALTHY, cpu_kernels=FAILED),
        "cpu: scaled_dot_product_attention failed: it broke",
        "--attention",
    ),
    "Triton failing": (
        with_answers(HEALTHY_CUDA, triton=FAILED),
        "Triton cannot be used: it broke",
        "belongs to this torch",
    ),
    "Triton without a C compiler": (
        replace(
            with_answers(HEALTHY_CUDA, triton=FAILED),
            toolchain=Toolchain("g++", "/usr/bin/g++", None, has_python_headers=True),
        ),
        "Triton cannot be used",
        "install a C compiler",
    ),
    "compile failing": (
        with_answers(HEALTHY, cpu_compile=FAILED),
        "cpu: torch.compile failed: it broke",
        "--compile on",
    ),
    "no C++ compiler": (
        replace(HEALTHY, toolchain=Toolchain("g++", None, None, has_python_headers=True)),
        "no C++ compiler g++",
        "CXX",
    ),
    "no Python headers": (
        replace(HEALTHY, toolchain=Toolchain("g++", "/g++", None, has_python_headers=False)),
        "Python.h",
        "python3-dev",
    ),
    "little disk": (
        replace(HEALTHY, results=FolderReading("there", GiB // 2)),
        "the folder there can be written, but has little room, 0.5 GiB free",
        "make room",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_each_disturbance_is_named_once_with_its_remedy(name):
    seen, text, remedy = WARNINGS[name]
    (finding,) = of_level(seen, "warning", "blocks")
    assert finding.level == "warning"
    assert text in finding.text
    assert remedy in finding.remedy


BLOCKS = {
    "torch missing": (
        replace(HEALTHY, answers={"nvml": FAILED, "torch": FAILED}),
        "torch cannot be imported: it broke",
    ),
    "no environment": (
        without(with_answers(HEALTHY, environment=FAILED), "cuda"),
        "cannot be described, so no sweep can start here: it broke",
    ),
    "no device": (with_answers(HEALTHY, cpu=FAILED), "no device computes"),
    "no memory": (host(HEALTHY, available_bytes=GiB // 4), "torch cannot even start"),
    "no place": (
        replace(HEALTHY, results=FolderReading("there", problem="/: Read-only file system")),
        "the folder there cannot be written: /: Read-only",
    ),
    "no pandas": (
        replace(HEALTHY, packages=[NeededPackage("pandas", None, "2.2")]),
        "pandas is not installed",
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_what_keeps_a_machine_from_measuring_blocks(name):
    seen, text = BLOCKS[name]
    blocking = of_level(seen, "blocks")
    assert [text in finding.text for finding in blocking] == [True]
    assert blocking[0].remedy
    assert not can_measure(diagnose(seen))


@pytest.mark.parametrize(
    "seen",
    [
        host(HEALTHY, load=None),
        host(HEALTHY, load=1.0),
        host(HEALTHY, cores=64, usable_cores=4, load=20.0),
        host(HEALTHY, quota_cores=16.0),
        host(HEALTHY, swap_used_bytes=GiB // 8),
        with_environment(HEALTHY, governor=None),
        with_environment(HEALTHY, variables={"OMP_NUM_THREADS": "2"}),
        with_card(HEALTHY_CUDA, clock_reasons=["idle", "application clocks"]),
        with_card(HEALTHY_CUDA, clock_reasons=None, power_limit_w=None, other_processes=None),
        with_card(HEALTHY_CUDA, memory_used_bytes=None, default_power_limit_w=None),
        with_card(HEALTHY_CUDA, power_limit_w=80.0),
        with_environment(
            with_card(HEALTHY_CUDA, other_processes=3), gpus=[GPU | {"uuid": "GPU-other"}]
        ),
    ],
)
def test_what_disturbs_nothing_is_not_said(seen):
    assert of_level(seen, "warning", "blocks") == []


def test_the_kernels_are_told_by_what_they_run():
    flash = ("no mask", "constant mask")
    every = (*flash, "learned mask")
    answer = Answer(trials("cpu", flash=flash, cudnn=(), math=every))
    texts = [finding.text for finding in diagnose(with_answers(HEALTHY, cpu_kernels=answer))]
    assert (
        "cpu: scaled_dot_product_attention runs flash (no mask, constant mask); "
        "math (any mask or none); not here: cudnn" in texts
    )


def test_a_compile_that_was_tried_is_told_with_its_time():
    texts = [item.text for item in diagnose(with_answers(HEALTHY, cpu_compile=Answer(12.6)))]
    assert "cpu: torch.compile worked, in 13 s" in texts
    assert not any("found /usr/bin/g++" in text for text in texts)


@pytest.mark.parametrize(
    ("installed", "oldest", "newest", "level"),
    [
        ("2.11.0", "2.11", "2.15", "ok"),
        ("2.11", "2.11.0", None, "ok"),
        ("2.15.3+cu130", "2.11", "2.15", "ok"),
        ("2.12.0a0+git1234567", "2.11", "2.15", "ok"),
        ("2.10.9", "2.11", "2.15", "warning"),
        ("2.2.0", "2.11", None, "warning"),
        ("2.16.0", "2.11", "2.15", "note"),
        ("3.0", "2.11", "2.15", "note"),
        ("0.1.5.post20221221", "0.1.5.post20221221", None, "ok"),
        ("0.1.5", "0.1.5.post20221221", None, "warning"),
        (None, "2.11", "2.15", "blocks"),
    ],
)
def test_versions_are_compared_by_their_numbers(installed, oldest, newest, level):
    found = list(version_findings([NeededPackage("torch", installed, oldest, newest)]))
    assert [finding.level for finding in found] == [level]


def test_a_missing_extra_is_no_obstacle():
    (finding,) = version_findings([NeededPackage("fvcore", None, "0.1.5")])
    assert finding.level == "warning"
    assert "pip install" in finding.remedy


def test_the_supported_versions_come_from_the_package_itself():
    packages = {package.name: package for package in needed_packages()}
    named = "Python torch numpy pandas typer rich fvcore nvidia-ml-py torchvision"
    assert set(named.split()) <= set(packages)
    assert packages["torch"].newest == NEWEST_TESTED["torch"]
    assert packages["Python"].oldest == "3.11"
    assert "pytest" not in packages
    assert not of_level(replace(HEALTHY, packages=list(packages.values())), "warning", "blocks")


def test_a_package_that_is_not_installed_makes_a_note():
    packages = needed_packages("no-such-distribution-anywhere")
    assert [finding.level for finding in version_findings(packages)] == ["note"]


def test_the_newest_tested_torch_is_the_one_that_the_tests_are_pinned_to():
    constraints = Path(aabench.__file__).parents[1] / "constraints.txt"
    pins = dict(line.split("==") for line in constraints.read_text().splitlines() if "==" in line)
    assert pins["torch"].startswith(f"{NEWEST_TESTED['torch']}.")


def test_the_made_up_machines_are_described_as_real_ones_are(monkeypatch):
    properties = SimpleNamespace(
        uuid="x",
        name="card",
        major=7,
        minor=5,
        multi_processor_count=40,
        total_memory=15 * GiB,
        L2_cache_size=2**22,
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    real = describe_environment()
    assert set(ENVIRONMENT) <= set(real)
    assert set(GPU) <= set(real["gpus"][0])
    assert set(READING) == {field.name for field in fields(GpuReading)}
    assert set(CARD) == {field.name for field in fields(Card)}
    assert set(DISTURBING_VARIABLES) <= set(VARIABLES)
