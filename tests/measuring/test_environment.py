"""The environment of this process, and when two environments are comparable."""

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from simulated_nvml import UUID, SimulatedNvml

from aabench.measuring import environment as module
from aabench.measuring.comparability import FIELDS, GPU_FIELDS, environment_differences
from aabench.measuring.environment import describe_environment
from aabench.measuring.nvml import GpuReader


@pytest.fixture(scope="module")
def here():
    return describe_environment()


def test_it_is_json_and_of_this_process(here):
    assert json.loads(json.dumps(here, allow_nan=False)) == here
    assert here["torch"] == torch.__version__
    assert here["torch_threads"] == torch.get_num_threads()
    assert here["memory_total_bytes"] >= here["memory_available_bytes"] > 0
    assert here["cpu"] and here["usable_cores"] >= 1


def test_every_compared_field_is_described(here):
    assert set(FIELDS) <= set(here)


def test_threads_and_flags_are_read_when_asked():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    torch.backends.cudnn.benchmark = True
    try:
        later = describe_environment()
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.benchmark = False
    assert later["torch_threads"] == before + 1
    assert later["cudnn_benchmark"] is True


@pytest.mark.parametrize("allow", [True, False])
def test_tf32_is_told_whichever_switch_set_it(allow):
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allow
    try:
        assert (describe_environment()["matmul_fp32_precision"] == "tf32") is allow
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def test_variables_are_only_those_that_matter(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("A_SECRET", "hunter2")
    variables = describe_environment()["variables"]
    assert variables["OMP_NUM_THREADS"] == "2"
    assert "A_SECRET" not in variables


def test_processor_and_governor_come_from_the_kernel(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: A Fine CPU\n")
    governor = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("powersave\n")
    found = describe_environment(root=tmp_path)
    assert (found["cpu"], found["governor"]) == ("A Fine CPU", "powersave")


def git(folder, *words):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_the_revision_of_the_source_tree(tmp_path, monkeypatch):
    monkeypatch.setattr(module.aabench, "__file__", str(tmp_path / "aabench/__init__.py"))
    monkeypatch.setattr(module, "GIT_SECONDS", 120)  # whether git hurries is not the question
    assert describe_environment()["aabench_revision"] is None  # installed, not a checkout
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    clean = describe_environment()
    assert len(clean["aabench_revision"]) == 40 and clean["aabench_modified"] is False
    (tmp_path / "file").write_text("2")
    assert describe_environment()["aabench_modified"] is True


def test_cards_are_those_that_torch_sees_with_what_nvml_says(monkeypatch):
    properties = SimpleNamespace(
        name="NVIDIA H200", uuid=UUID.removeprefix("GPU-"), major=9, minor=0,
        multi_processor_count=132, total_memory=150_000_000_000, L2_cache_size=62_914_560,
    )  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    opened = []

    @contextmanager
    def open_gpu(uuid):
        opened.append(uuid)
        library = SimulatedNvml() if len(opened) == 1 else SimulatedNvml(nvmlInit=OSError("gone"))
        with GpuReader(uuid, library=library) as reader:
            yield reader

    found = describe_environment(open_gpu=open_gpu)
    json.dumps(found, allow_nan=False)
    first, second = found["gpus"]
    assert opened == [UUID.removeprefix("GPU-")] * 2
    assert (first["driver"], first["power_limit_w"], first["uuid"]) == ("580.65.06", 700.0, UUID)
    assert (second["driver"], second["name"]) == (None, "NVIDIA H200")
    assert "gone" in second["problem"]
    assert set(GPU_FIELDS) <= set(first)


def test_no_file_outside_the_root_is_needed(tmp_path):
    assert describe_environment(root=tmp_path)["governor"] is None


# Comparability


def test_an_environment_is_comparable_with_itself(here):
    assert environment_differences(here, here) == []
    stored = json.loads(json.dumps(here))
    assert environment_differences(stored, here) == []


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_makes_a_line_that_names_both_sides(here, name):
    base = {**here, name: "1.0"}
    assert environment_differences({**here, name: "2.0"}, base) == [
        f"{FIELDS[name]} 1.0 here, 2.0 in the run"
    ]


def test_flags_are_on_or_off(here):
    run = {**here, "cudnn_benchmark": True}
    assert environment_differences(run, here) == ["cuDNN benchmark off here, on in the run"]


@pytest.mark.parametrize(
    "name",
    ["load_1_min", "memory_available_bytes", "memory_limit_bytes", "os", "aabench_modified", "new"],
)
def test_what_comes_and_goes_is_not_compared(here, name):
    assert environment_differences({**here, name: 1}, {**here, name: 2}) == []


def test_what_one_side_does_not_know_is_no_difference(here):
    older = {
        name: value for name, value in here.items() if name not in ("triton", "gpus", "variables")
    }
    assert environment_differences(older, here) == []
    assert environment_differences({**here, "governor": None}, {**here, "governor": "x"}) == []
    assert environment_differences({}, here) == []


def test_a_patch_release_of_python_is_no_difference(here):
    assert environment_differences({**here, "python": "3.11.1"}, {**here, "python": "3.11.9"}) == []
    assert environment_differences({**here, "python": "3.11.1"}, {**here, "python": "3.12.1"})


def test_variables_set_and_not_set(here):
    run = {**here, "variables": {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "1"}}
    now = {**here, "variables": {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}}
    assert environment_differences(run, now) == [
        "OMP_NUM_THREADS not set here, 4 in the run",
        "PYTORCH_ALLOC_CONF expandable_segments:True here, not set in the run",
    ]


CARD = {"name": "NVIDIA H200", "driver": "580", "power_limit_w": 700.0, "uuid": "GPU-1"}


def test_cards(here):
    def with_cards(*cards):
        return {**here, "gpus": list(cards)}

    run = with_cards(CARD)
    assert (
        environment_differences(run, with_cards({**CARD, "uuid": "GPU-2", "temperature_c": 80}))
        == []
    )
    assert environment_differences(run, with_cards({**CARD, "power_limit_w": None})) == []
    assert environment_differences(run, with_cards({**CARD, "power_limit_w": 350.0})) == [
        "GPU 0 power limit in watts 350.0 here, 700.0 in the run"
    ]
    assert environment_differences(run, with_cards()) == ["number of GPUs: 0 here, 1 in the run"]
    assert environment_differences(run, {**here, "gpus": "damaged"}) == []


def test_no_machine_path_is_described(here):
    home = str(Path.home())
    strings = [value for value in here.values() if isinstance(value, str)]
    assert not [value for value in strings if home in value]
