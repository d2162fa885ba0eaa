"""The roofline: the slower of arithmetic and traffic, launches on top, and what bounds the sum."""

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from drawn_layers import draw_case
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.ceilings import Ceilings
from aabench.cost.columns import LayerColumns
from aabench.cost.layer_times import TIMES
from aabench.cost.layers import predict_layers
from aabench.cost.roofline import BOUNDS, bound_codes, step_time

CEILINGS = Ceilings(1e11, {"fp32": 1e12, "bf16": 4e12}, 1e-5, "a test", is_measured=False)


@dataclass(frozen=True)
class Op:
    flops: float
    bytes_moved: float
    launches: int = 1


def test_each_operation_takes_as_long_as_its_slower_half():
    time = step_time([Op(1e12, 1e9), Op(1e9, 1e11), Op(0, 0, 3)], CEILINGS, "fp32")
    assert time.compute_s == pytest.approx(1)
    assert time.memory_s == pytest.approx(1)
    assert time.launch_s == pytest.approx(5e-5)
    assert time.seconds == pytest.approx(2.00005)


@pytest.mark.parametrize(
    ("op", "bound"), [(Op(1e12, 1), "compute"), (Op(1, 1e12), "memory"), (Op(1, 1, 9), "launch")]
)
def test_the_bound_is_what_takes_most_of_the_time(op, bound):
    time = step_time([op], CEILINGS, "fp32")
    assert time.bound == bound
    spent = [np.array([value]) for value in (time.compute_s, time.memory_s, time.launch_s)]
    assert BOUNDS[bound_codes(*spent)[0]] == bound


def test_no_time_without_a_rate():
    assert step_time([Op(1, 1)], CEILINGS, "fp16") is None


@given(
    st.lists(st.tuples(st.floats(0, 1e15), st.floats(0, 1e12), st.integers(0, 50)), max_size=6),
    st.sampled_from(("bandwidth_bytes_per_s", "launch_s", "rates_flops_per_s")),
)
@settings(deadline=None, max_examples=50)
def test_a_faster_machine_is_never_slower(operations, ceiling):
    slow = {
        "bandwidth_bytes_per_s": 5e10,
        "launch_s": 1e-4,
        "rates_flops_per_s": {"fp32": 1e11},
    }
    ops = [Op(*operation) for operation in operations]
    faster = step_time(ops, CEILINGS, "fp32").seconds
    assert step_time(ops, replace(CEILINGS, **{ceiling: slow[ceiling]}), "fp32").seconds >= faster


FORMS = ("materialized", "broadcast", "sdpa-bias", "factored", "blocked")


def drawn_cases():
    rng = random.Random(5)
    precisions = ("fp32", "bf16", "amp-fp16")
    return [draw_case(rng, forms=FORMS, precisions=precisions) for _ in range(60)]


def layer_seconds(cases, ceilings=CEILINGS):
    figures = predict_layers(LayerColumns.from_cases(cases, "cpu", 2), ceilings=ceilings)
    return np.sum([figures[name] for name in TIMES], axis=0), figures


def test_layers_take_at_least_as_long_as_their_products():
    cases = drawn_cases()
    seconds, figures = layer_seconds(cases)
    rates = np.array([CEILINGS.rate(case.precision) or np.nan for case in cases])
    known = ~np.isnan(rates)
    assert known.any()
    assert np.all(seconds[known] >= figures["flops"][known] / rates[known])
    assert np.all(seconds[~known] < 0)


def test_layers_take_longer_for_more_images_and_backward_passes():
    cases = [case for case in drawn_cases() if case.precision == "fp32"]
    seconds, _ = layer_seconds([replace(case, batch=4) for case in cases])
    doubled, _ = layer_seconds([replace(case, batch=8) for case in cases])
    assert np.all(doubled > seconds)
    inferring = [replace(case, mode="infer", optimizer=None) for case in cases]
    training = [replace(case, mode="forward-backward", optimizer=None) for case in cases]
    assert np.all(layer_seconds(training)[0] > layer_seconds(inferring)[0])


def test_times_leave_the_other_figures_alone():
    cases = drawn_cases()
    without = predict_layers(LayerColumns.from_cases(cases, "cpu", 2))
    _, figures = layer_seconds(cases)
    for name, column in without.items():
        np.testing.assert_array_equal(column, figures[name])
