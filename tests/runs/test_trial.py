"""Trials: what runs in a process of its own, and what it is held against."""

import json

import pytest

from aabench.cases.network import Network
from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.trace import trace_step
from aabench.networks.augmenting import augment
from aabench.networks.building import build_network
from aabench.networks.plan import Plan, PlannedLayer
from aabench.runs.trial import Outcome, Trial, run_trial
from aabench.runs.trial_step import try_step

LAYER = PlannedLayer("layer3.0.conv1", 16, 32, 3, 2, 8, 8, 2, "relative", 1, 8, 8)
PLAN = Plan("debug-resnet", "blocked", (3, 32, 32), (LAYER,), ("layer1.*",), {"batch": 4})


def trial(cap_bytes, network="debug-resnet", plan=PLAN):
    return Trial(
        Network(network, 3, 32, 32),
        plan,
        "blocked",
        4,
        StepSettings(mode="train", checkpointed=PLAN.checkpointed),
        "cpu",
        cap_bytes,
    )


def test_a_trial_survives_its_trip_as_json():
    asked = trial(5)
    assert Trial.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked


def test_a_trial_runs_in_another_process_the_network_of_its_plan(tmp_path):
    result = run_trial(trial(2**30))
    assert (result.outcome, result.reason) == (Outcome.FITTED, "")
    path = tmp_path / "plan.json"
    PLAN.write(path)
    model = augment(build_network("debug-resnet"), plan=path)
    settings = StepSettings(mode="train")
    # The model checkpoints itself, so that the trace need not be told.
    assert result.peak_bytes == pytest.approx(
        trace_step(model, (4, 3, 32, 32), settings).peak_bytes, rel=0.05
    )


def test_on_the_cpu_the_allocators_bytes_are_held_against_the_cap():
    peak = try_step(trial(2**30)).peak_bytes
    assert try_step(trial(peak)).outcome is Outcome.FITTED
    assert try_step(trial(peak - 1)).outcome is Outcome.OUT_OF_MEMORY


def test_networks_without_a_plan_are_run_as_they_are():
    assert try_step(trial(2**30, "aa-debug-resnet", None)).outcome is Outcome.FITTED


def test_a_process_that_fails_is_an_outcome_with_a_reason():
    result = run_trial(trial(2**30, "no-such-network"))
    assert result.outcome is Outcome.FAILED
    assert "no-such-network" in result.reason
