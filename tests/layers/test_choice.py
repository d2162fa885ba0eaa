"""The rule behind ``auto``: what is chosen where, that it is complete, and what torch reports to it."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_attention import random_inputs

from aabench.cases.case import PRECISIONS
from aabench.cases.catalogue import ATTENTIONS
from aabench.cases.choice import CANDIDATES, RULES, Situation, choose_attention
from aabench.cases.fused_kernels import FusedCase, choose_kernel
from aabench.layers.attention_inputs import capability_of, precision_of

TRAINING_ON_CPU = Situation(
    device_type="cpu",
    capability=None,
    precision="fp32",
    training=True,
    tokens=196,
    key_depth_per_head=20,
    value_depth_per_head=4,
    height=14,
    width=14,
    has_tables=True,
)


@given(
    st.builds(
        Situation,
        device_type=st.sampled_from(["cpu", "cuda", "meta", "mps", "xpu"]),
        capability=st.none() | st.tuples(st.integers(5, 12), st.integers(0, 9)),
        precision=st.sampled_from([*PRECISIONS, "fp64"]),
        training=st.booleans(),
        tokens=st.integers(1, 10_000),
        key_depth_per_head=st.integers(1, 300),
        value_depth_per_head=st.integers(1, 300),
        height=st.integers(1, 100),
        width=st.integers(1, 100),
        has_tables=st.booleans(),
    )
)
def test_every_situation_has_a_choice_from_the_catalogue(situation):
    choice = choose_attention(situation)
    assert choice.name in ATTENTIONS.names()
    assert choice.why


def test_candidates_are_the_forms_of_the_rules():
    assert set(CANDIDATES) == {rule.form for rule in RULES}
    assert set(CANDIDATES) <= set(ATTENTIONS.names())


def test_every_rule_but_the_last_can_be_passed_over():
    """A rule that always applies hides those below it."""
    elsewhere = replace(TRAINING_ON_CPU, device_type="elsewhere")
    assert [rule.applies(elsewhere) for rule in RULES] == [False] * (len(RULES) - 1) + [True]


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({}, "blocked", "one small buffer"),
        ({"training": False}, "blocked", "one small buffer"),
        ({"has_tables": False}, "sdpa-bias", "no mask"),
        ({"device_type": "cuda", "capability": (9, 0)}, "factored", "no mask"),
        ({"device_type": "cuda", "has_tables": False}, "sdpa-bias", "no mask"),
        ({"device_type": "cuda", "precision": "fp64"}, "blocked", "number format"),
        ({"device_type": "cuda", "precision": "fp64", "has_tables": False}, "blocked", "format"),
        ({"device_type": "cuda", "capability": (7, 5), "precision": "bf16"}, "blocked", "format"),
        ({"device_type": "cuda", "capability": (7, 5), "precision": "amp-bf16"}, "blocked", "form"),
        ({"device_type": "cuda", "capability": (7, 5), "precision": "amp-fp16"}, "factored", "no"),
        ({"device_type": "cuda", "capability": None, "precision": "bf16"}, "factored", "no mask"),
        ({"device_type": "meta"}, "broadcast", "every device"),
    ],
)
def test_what_is_chosen_where(changes, name, reason):
    choice = choose_attention(replace(TRAINING_ON_CPU, **changes))
    assert choice.name == name
    assert reason in choice.why


@given(
    st.builds(
        Situation,
        device_type=st.just("cuda"),
        capability=st.sampled_from(
            [(6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (12, 0)]
        ),
        precision=st.sampled_from([*PRECISIONS, "fp64"]),
        training=st.booleans(),
        tokens=st.integers(1, 10_000),
        key_depth_per_head=st.integers(1, 300),
        value_depth_per_head=st.integers(1, 300),
        height=st.integers(1, 300),
        width=st.integers(1, 300),
        has_tables=st.booleans(),
    )
)
def test_factored_is_chosen_only_where_a_fused_kernel_takes_it(situation):
    """However wide E = dk/Nh + H + W is: what no flash kernel holds, the memory-efficient one does."""
    data_type = {
        "bf16": "bfloat16",
        "amp-bf16": "bfloat16",
        "fp16": "float16",
        "amp-fp16": "float16",
        "fp64": "float64",
    }.get(situation.precision, "float32")
    case = FusedCase(
        device_type="cuda",
        data_type=data_type,
        training=situation.training,
        key_depth=situation.key_depth_per_head,
        value_depth=situation.value_depth_per_head,
        sides=situation.height + situation.width,
        capability=situation.capability,
    )
    name = choose_attention(situation).name
    if name == "factored":
        choose_kernel(case)  # raises where no kernel takes it
    else:
        assert name in {"blocked", "sdpa-bias"}
        assert situation.has_tables is False or name == "blocked"


def test_the_capability_of_a_card_does_not_break_a_compiled_graph(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))

    @torch.compile(backend="eager", fullgraph=True)
    def doubled_on_hopper(x):
        return x * 2 if capability_of(torch.device("cuda:0")) == (9, 0) else x

    assert doubled_on_hopper(torch.ones(1)).item() == 2


def test_the_rule_needs_no_torch():
    code = "import sys, aabench.cases.choice; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("tables", [True, False])
def test_tensors_tell_their_situation(tables):
    inputs = random_inputs(2, 3, (4, 5), 6, 7, tables=tables, requires_grad=True)
    expected = Situation("cpu", None, "fp64", True, 20, 6, 7, 4, 5, tables)
    assert inputs.situation() == expected
    with torch.no_grad():
        assert inputs.situation() == replace(expected, training=False)


def test_frozen_weights_with_a_trained_table_are_training():
    inputs = random_inputs(1, 1, (2, 2), 3, 3)
    assert not inputs.situation().training
    inputs.tables[1].requires_grad_()
    assert inputs.situation().training


@pytest.mark.parametrize(
    ("device", "dtype", "name"),
    [
        ("cpu", torch.float32, "fp32"),
        ("cpu", torch.bfloat16, "bf16"),
        ("cpu", torch.float16, "fp16"),
        ("cpu", torch.float64, "fp64"),
        ("meta", torch.float32, "fp32"),
        ("cuda", torch.float32, "fp32"),
    ],
)
def test_precision_is_named_after_the_data_type(device, dtype, name):
    assert precision_of(torch.device(device), dtype) == name


@pytest.mark.parametrize(
    ("dtype", "name"), [(torch.bfloat16, "amp-bf16"), (torch.float16, "amp-fp16")]
)
def test_autocast_has_its_own_names(dtype, name):
    with torch.autocast("cpu", dtype):
        assert precision_of(torch.device("cpu"), dtype) == name
        assert precision_of(torch.device("cpu"), torch.float64) == "fp64"


def test_tf32_is_named_where_it_is_allowed():
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        assert precision_of(torch.device("cuda"), torch.float32) == "tf32"
        assert precision_of(torch.device("cpu"), torch.float32) == "fp32"
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
