"""Energy of a known number of steps, by counter or by power."""

import pytest
from simulated_nvml import UNKNOWN, UUID, NVMLError, SimulatedNvml
from simulated_time import EnqueuedStep, SimulatedClock, SimulatedDevice

from aabench.measuring.clock import ClockError
from aabench.measuring.energy import integrated_j, measure_energy
from aabench.measuring.nvml import GpuReader


def measured(clock, nvml, seconds=1.0, step_s=2e-3):
    device = SimulatedDevice(clock)
    step = EnqueuedStep(clock, device, 1e-5, step_s)
    with GpuReader(UUID, library=nvml) as reader:
        energy = measure_energy(step, device, reader, step_s, seconds=seconds, clock=clock)
    return energy, step, device


def test_the_counter_divided_by_the_items():
    clock = SimulatedClock()
    watts = 300
    nvml = SimulatedNvml(nvmlDeviceGetTotalEnergyConsumption=lambda: clock.now * watts // 10**6)
    energy, step, _ = measured(clock, nvml)
    assert energy.source == "counter"
    assert energy.steps == step.runs == step.resets
    assert not step.collector_was_on
    assert energy.seconds == pytest.approx(1.0, abs=0.11)
    assert energy.joules == pytest.approx(watts * energy.seconds, rel=0.01)
    assert energy.joules_per_item(8) == pytest.approx(watts * 2e-3 / 8, rel=0.02)


def test_without_a_counter_power_is_integrated():
    clock = SimulatedClock()
    nvml = SimulatedNvml(
        nvmlDeviceGetTotalEnergyConsumption=NVMLError(UNKNOWN), nvmlDeviceGetPowerUsage=250_000
    )
    energy, _, _ = measured(clock, nvml)
    assert energy.source == "power"
    assert energy.joules == pytest.approx(250 * energy.seconds)


@pytest.mark.parametrize("counter", [iter([9000, 9000]), iter([9000, 10])])
def test_a_counter_that_does_not_move_forward_is_not_believed(counter):
    def tell():
        return next(counter, 10)

    clock = SimulatedClock()
    energy, _, _ = measured(clock, SimulatedNvml(nvmlDeviceGetTotalEnergyConsumption=tell))
    assert energy.source == "power"


def test_with_neither_there_is_no_figure_and_no_error():
    clock = SimulatedClock()
    nvml = SimulatedNvml(
        nvmlDeviceGetTotalEnergyConsumption=OSError("gone"), nvmlDeviceGetPowerUsage=-5
    )
    energy, _, _ = measured(clock, nvml)
    assert (energy.joules, energy.source, energy.joules_per_item(8)) == (None, None, None)
    assert energy.busy.temperature_c == 41


def test_power_and_reading_are_taken_while_the_card_works():
    clock = SimulatedClock()
    nvml = SimulatedNvml(nvmlDeviceGetTotalEnergyConsumption=NVMLError(UNKNOWN))
    device = SimulatedDevice(clock)
    working = []

    def power():
        working.append(device.free_at > clock.now)
        return 100_000

    nvml.answers["nvmlDeviceGetPowerUsage"] = power
    with GpuReader(UUID, library=nvml) as reader:
        step = EnqueuedStep(clock, device, 1e-5, 2e-3)
        measure_energy(step, device, reader, 2e-3, seconds=0.5, clock=clock)
    assert len(working) > 3 and all(working)


def test_a_clock_that_stands_still_does_not_loop_for_ever():
    clock = SimulatedClock()
    device = SimulatedDevice(clock)
    step = EnqueuedStep(clock, device, 1e-5, 2e-3)
    with GpuReader(UUID, library=SimulatedNvml()) as reader, pytest.raises(ClockError):
        measure_energy(step, device, reader, 2e-3, clock=lambda: 0)


def test_integration_is_by_trapezoids():
    assert integrated_j([], 2.0) is None
    assert integrated_j([(1.0, 50.0)], 2.0) == 100.0
    assert integrated_j([(0.0, 0.0), (1.0, 100.0)], 1.0) == 50.0
    assert integrated_j([(0.5, 100.0), (1.5, 200.0)], 2.0) == 0.5 * 100 + 150 + 0.5 * 200
