"""Reading a card through a stand-in for pynvml that works, fails, or talks nonsense."""

import dataclasses
import math
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_nvml import NOT_SUPPORTED, UNKNOWN, UUID, NVMLError, SimulatedNvml, processes

from aabench.measuring.gpu_reading import GpuReading, clock_reasons
from aabench.measuring.nvml import GpuReader


def read(nvml=None, uuid=UUID, **settings):
    with GpuReader(uuid, library=nvml or SimulatedNvml(), process=77, **settings) as reader:
        return reader.read()


def test_everything_in_si_units():
    assert read() == GpuReading(
        name="NVIDIA H200",
        uuid=UUID,
        driver="580.65.06",
        memory_total_bytes=150 * 10**9,
        memory_used_bytes=2 * 10**9,
        sm_clock_hz=1_980_000_000,
        memory_clock_hz=3_201_000_000,
        temperature_c=41,
        power_w=123.456,
        power_limit_w=700.0,
        clock_reasons=(),
        slowed_s=2.0,
        other_processes=0,
        energy_j=5000.25,
        problem=None,
    )


def test_bytes_of_older_releases_are_text():
    reading = read(SimulatedNvml(nvmlDeviceGetName=b"Tesla T4", nvmlDeviceGetUUID=UUID.encode()))
    assert (reading.name, reading.uuid, reading.problem) == ("Tesla T4", UUID, None)


@pytest.mark.parametrize("given_as", [UUID, UUID.removeprefix("GPU-")])
def test_torchs_uuid_has_no_prefix(given_as):
    assert read(uuid=given_as).name == "NVIDIA H200"


@pytest.mark.parametrize("given_as", ["MIG-5c89", "5c89"])
def test_a_slice_of_a_card_is_found(given_as):
    nvml = SimulatedNvml()
    nvml.known_uuid = "MIG-5c89"
    assert read(nvml, uuid=given_as).name == "NVIDIA H200"


def test_a_card_that_nvml_does_not_know():
    reading = read(uuid="GPU-other")
    assert reading == GpuReading(problem="NVML: NVMLError: no card GPU-other")


def test_nvml_is_closed_once_and_nothing_is_read_afterwards():
    nvml = SimulatedNvml()
    with GpuReader(UUID, library=nvml) as reader:
        assert nvml.open == 1
    assert nvml.open == 0
    assert reader.read().problem == "NVML: not opened"
    assert reader.power_w() is None and reader.energy_j() is None


def test_nvml_is_closed_when_the_measurement_raises():
    nvml = SimulatedNvml()
    with pytest.raises(ZeroDivisionError), GpuReader(UUID, library=nvml):
        raise ZeroDivisionError
    assert nvml.open == 0


def test_a_machine_without_pynvml(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with GpuReader(UUID) as reader:
        reading = reader.read()
    assert reading.problem.startswith("NVML: ModuleNotFoundError")
    assert reading == GpuReading(problem=reading.problem)


def test_a_machine_without_a_driver_for_the_real_module():
    pytest.importorskip("pynvml")
    with GpuReader("GPU-00000000-0000-0000-0000-000000000000") as reader:
        reading = reader.read()
    assert reading.problem.startswith("NVML: ")


def test_initialisation_that_fails_is_told_in_one_line():
    nvml = SimulatedNvml(nvmlInit=NVMLError(UNKNOWN, "driver\nnot   loaded"))
    assert read(nvml).problem == "NVML: NVMLError: driver not loaded"


def test_a_shutdown_that_fails_is_ignored():
    assert read(SimulatedNvml(nvmlShutdown=NVMLError(UNKNOWN))).problem is None


FIELD_OF = {
    "nvmlDeviceGetName": {"name"},
    "nvmlDeviceGetUUID": {"uuid"},
    "nvmlSystemGetDriverVersion": {"driver"},
    "nvmlDeviceGetMemoryInfo": {"memory_total_bytes", "memory_used_bytes"},
    "nvmlDeviceGetClockInfo": {"sm_clock_hz", "memory_clock_hz"},
    "nvmlDeviceGetTemperature": {"temperature_c"},
    "nvmlDeviceGetPowerUsage": {"power_w"},
    "nvmlDeviceGetEnforcedPowerLimit": {"power_limit_w"},
    "nvmlDeviceGetCurrentClocksThrottleReasons": {"clock_reasons"},
    "nvmlDeviceGetViolationStatus": {"slowed_s"},
    "nvmlDeviceGetComputeRunningProcesses": {"other_processes"},
    "nvmlDeviceGetTotalEnergyConsumption": {"energy_j"},
}


def assert_only_lost(reading, function):
    """Everything is as ever, but what the function would have told is None."""
    expected = dataclasses.replace(read(), **dict.fromkeys(FIELD_OF[function]))
    assert dataclasses.replace(reading, problem=None) == expected


@pytest.mark.parametrize("function", FIELD_OF)
def test_a_function_that_fails_costs_only_its_own_fields(function):
    for error in (NVMLError(UNKNOWN, "lost"), OSError("bus"), MemoryError()):
        reading = read(SimulatedNvml(**{function: error}))
        assert_only_lost(reading, function)
        assert reading.problem.startswith(f"{function}: {type(error).__name__}")
        assert "\n" not in reading.problem


@pytest.mark.parametrize("function", FIELD_OF)
def test_a_function_that_the_card_does_not_support_is_no_problem(function):
    reading = read(SimulatedNvml(**{function: NVMLError(NOT_SUPPORTED)}))
    assert_only_lost(reading, function)
    assert reading.problem is None


@pytest.mark.parametrize("function", FIELD_OF)
def test_a_function_that_this_release_lacks_costs_only_its_own_fields(function):
    nvml = SimulatedNvml()
    del nvml.answers[function]
    assert_only_lost(read(nvml), function)


@pytest.mark.parametrize("function", FIELD_OF)
@pytest.mark.parametrize(
    "nonsense",
    [None, -1, -(10**30), 10**30, math.nan, 1.5, True, b"\xff\xfe", "", "\x00\x07", object(), {}],
    ids=lambda value: "object" if type(value) is object else repr(value),
)
def test_nonsense_becomes_none(function, nonsense):
    assert_only_lost(read(SimulatedNvml(**{function: lambda: nonsense})), function)


@given(
    st.sampled_from(sorted(FIELD_OF)),
    st.one_of(
        st.integers(), st.floats(), st.text(), st.binary(), st.none(), st.lists(st.integers())
    ),
)
@settings(deadline=None, max_examples=80)
def test_no_answer_raises_or_leaves_the_bounds(function, answer):
    reading = read(SimulatedNvml(**{function: lambda: answer}))
    assert reading.temperature_c is None or 0 <= reading.temperature_c <= 150
    assert reading.power_w is None or 0 <= reading.power_w <= 1e5
    assert reading.memory_total_bytes is None or 0 < reading.memory_total_bytes <= 2**50
    assert reading.other_processes is None or reading.other_processes >= 0
    assert reading.name is None or (0 < len(reading.name) <= 200 and reading.name.isprintable())


def test_more_memory_used_than_there_is_is_nonsense():
    info = SimpleNamespace(total=100, used=101)
    reading = read(SimulatedNvml(nvmlDeviceGetMemoryInfo=info))
    assert reading.memory_total_bytes is None and "nvmlDeviceGetMemoryInfo" in reading.problem


def test_the_first_problem_is_the_one_kept_and_it_is_not_kept_for_ever():
    nvml = SimulatedNvml(nvmlDeviceGetName=OSError("one"), nvmlDeviceGetTemperature=OSError("two"))
    with GpuReader(UUID, library=nvml) as reader:
        assert reader.read().problem == "nvmlDeviceGetName: OSError: one"
        nvml.answers["nvmlDeviceGetName"] = "back again"
        assert reader.read().problem == "nvmlDeviceGetTemperature: OSError: two"


def test_a_card_that_disappears_in_mid_run():
    nvml = SimulatedNvml()
    with GpuReader(UUID, library=nvml) as reader:
        assert reader.energy_j() == 5000.25
        for function in FIELD_OF:
            nvml.answers[function] = NVMLError(15, "GPU is lost")
        assert reader.energy_j() is None
        lost = reader.read()
    assert lost == GpuReading(problem=lost.problem)
    assert "GPU is lost" in lost.problem


@pytest.mark.parametrize(
    ("listed", "holds_context", "others"),
    [
        ([], True, 0),
        ([77], True, 0),
        ([77, 88, 99], True, 2),
        ([4021], True, 0),  # a container: this process under the host's id
        ([4021, 4022], True, 1),
        ([0, 0, 0], True, 2),  # a container that hides all ids
        ([88], False, 1),
        ([], False, 0),
    ],
)
def test_other_processes(listed, holds_context, others):
    nvml = SimulatedNvml(nvmlDeviceGetComputeRunningProcesses=processes(*listed))
    assert read(nvml, holds_context=holds_context).other_processes == others


def test_reasons_are_named_and_told_apart():
    reading = read(SimulatedNvml(nvmlDeviceGetCurrentClocksThrottleReasons=0x1 | 0x4 | 0x40 | 0x2))
    assert reading.clock_reasons == (
        *("idle", "application clocks"),
        *("software power cap", "hardware thermal slowdown"),
    )
    assert reading.slowdowns == ("software power cap", "hardware thermal slowdown")
    assert clock_reasons(0x8000) == ("reason 0x8000",)
    assert GpuReading().slowdowns == ()
