"""Every remark: when it is made, when not, and that it says what to do."""

import dataclasses

import pytest

from aabench.measuring.gpu_reading import GpuReading
from aabench.measuring.latency import LatencyMeasurement
from aabench.measuring.memory import MemoryMeasurement
from aabench.measuring.statistics import summarize
from aabench.measuring.warning_rules import (
    gpu_remarks,
    latency_remarks,
    memory_remarks,
    sample_remarks,
)

STEADY = [1 + i / 1000 for i in range(20)]
MiB = 2**20


def codes(remarks):
    for remark in remarks:
        assert remark.text and remark.remedy
        assert str(remark) == f"{remark.text} — {remark.remedy}"
    return [remark.code for remark in remarks]


def test_good_samples_need_no_remark():
    assert codes(sample_remarks(summarize(STEADY), 0.01)) == []
    assert codes(sample_remarks(summarize(STEADY))) == []


def test_few_samples():
    assert codes(sample_remarks(summarize(STEADY[:9]))) == ["few-samples"]
    assert codes(sample_remarks(summarize(STEADY[:10]))) == []
    assert sample_remarks(summarize([1.0]))[0].text == "only 1 sample"


@pytest.mark.parametrize(("spread", "expected"), [(0.19, []), (0.21, ["noisy"])])
def test_noisy_above_ten_per_cent(spread, expected):
    # evenly from 1 - spread/2 to 1 + spread/2, so the middle half spreads over spread/2
    samples = [1 + spread * (i / 100 - 0.5) for i in range(101)]
    assert codes(sample_remarks(summarize(samples))) == expected


def test_outliers():
    remarks = sample_remarks(summarize([*STEADY, 99.0]))
    assert codes(remarks) == ["outliers"]
    assert remarks[0].text == "1 outlier among 21 samples"


@pytest.mark.parametrize(("drift", "expected"), [(0.049, []), (0.051, ["drift"]), (None, [])])
def test_drift(drift, expected):
    assert codes(sample_remarks(summarize(STEADY), drift)) == expected


@pytest.fixture
def warm():
    return LatencyMeasurement(
        samples_s=tuple(STEADY),
        summary=summarize(STEADY),
        calls_per_sample=1,
        first_call_s=2.0,
        warmup_calls=30,
        warmup_settled=True,
        discarded_samples=0,
        stopped_by="precise",
    )


def test_how_samples_were_taken(warm):
    assert codes(latency_remarks(warm)) == []
    assert codes(latency_remarks(dataclasses.replace(warm, warmup_settled=False))) == ["not-warm"]
    assert codes(latency_remarks(dataclasses.replace(warm, discarded_samples=2))) == ["clock"]
    assert codes(latency_remarks(warm, is_launch_bound=True)) == ["launch-bound"]


IDLE = GpuReading(other_processes=0, clock_reasons=("idle",), slowed_s=7.5)


def test_a_card_to_oneself_at_full_clocks():
    assert codes(gpu_remarks([IDLE, IDLE])) == []
    assert codes(gpu_remarks([])) == []
    assert codes(gpu_remarks([GpuReading(problem="NVML: gone")])) == []


def test_another_process_at_any_time():
    busy = dataclasses.replace(IDLE, other_processes=2)
    remarks = gpu_remarks([IDLE, busy, IDLE])
    assert codes(remarks) == ["other-process"]
    assert remarks[0].text == "2 other processes on the GPU"


def test_throttling_by_reason_or_by_time():
    hot = dataclasses.replace(IDLE, clock_reasons=("software power cap", "idle"))
    remarks = gpu_remarks([IDLE, hot, hot])
    assert codes(remarks) == ["throttled"]
    assert remarks[0].text.endswith("held down: software power cap")
    # held down in between, although no reading met it
    later = dataclasses.replace(IDLE, slowed_s=7.75)
    assert codes(gpu_remarks([IDLE, GpuReading(), later])) == ["throttled"]


def test_memory_of_a_squeezed_step():
    memory = MemoryMeasurement(10 * MiB, 90 * MiB, 100 * MiB, 0, allocator_retries=0, ooms=0)
    assert codes(memory_remarks(memory)) == []
    assert codes(memory_remarks(MemoryMeasurement(1, 1, 2, 0))) == []  # the CPU retries never
    retried = dataclasses.replace(memory, allocator_retries=1)
    assert codes(memory_remarks(retried)) == ["retried"]
    assert "1 time" in memory_remarks(retried)[0].text
    assert codes(memory_remarks(dataclasses.replace(memory, ooms=1))) == ["retried"]


def test_memory_that_belongs_to_another_case():
    memory = MemoryMeasurement(10 * MiB, 90 * MiB, 100 * MiB, 0, unaccounted_bytes=MiB)
    assert codes(memory_remarks(memory)) == []
    assert codes(memory_remarks(dataclasses.replace(memory, unaccounted_bytes=2 * MiB))) == [
        "leftovers"
    ]
