"""Predicted peaks against the events of torch's CPU allocator on real steps."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_layers import FORMS, draw_case

from aabench.cases.case import Case, Layer
from aabench.cost.columns import LayerColumns
from aabench.cost.layers import predict_layers
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.measuring.memory import MemoryMeasurement
from aabench.runs.subject import build_subject

LEAST_BYTES = 1 << 20
MOST_MAP_BYTES = 5 << 20
CASES = 5

CPU_FILE = Path("/proc/cpuinfo")
CPU_FLAGS = CPU_FILE.read_text().split() if CPU_FILE.exists() else []

pytestmark = pytest.mark.skipif(
    "avx512f" not in CPU_FLAGS, reason="the copies that oneDNN makes are known for AVX-512"
)


def measured(case: Case) -> MemoryMeasurement:
    subject = build_subject(case, torch.device("cpu"), seed=0)
    return measure_cpu_memory(subject, subject.base_tensors, warmup_calls=1)


@lru_cache
def compared(form: str, mode: str, precision: str) -> list[tuple[Case, float, float]]:
    """Drawn cases of at least 1 MiB with the errors of peak and step's peak."""
    rng = random.Random(f"{form} {mode} {precision}")
    rows: list[tuple[Case, float, float]] = []
    while len(rows) < CASES:
        case = draw_case(rng, forms=(form,), modes=(mode,), precisions=(precision,))
        tokens = case.layer.tokens
        if case.batch * case.layer.heads * tokens**2 * 4 > MOST_MAP_BYTES:
            continue
        columns = LayerColumns.from_cases([case], "cpu", torch.get_num_threads())
        figures = {name: values[0] for name, values in predict_layers(columns).items()}
        if figures["predicted_peak_bytes"] < LEAST_BYTES:
            continue
        real = measured(case)
        assert figures["predicted_base_bytes"] == real.base_bytes, case
        rows.append(
            (
                case,
                figures["predicted_peak_bytes"] / real.peak_allocated_bytes - 1,
                figures["predicted_step_peak_bytes"] / real.step_peak_bytes - 1,
            )
        )
    return rows


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize("form", FORMS)
def test_peak_of_drawn_cases(form: str, mode: str, precision: str) -> None:
    if precision == "bf16" and ("avx512_bf16" not in CPU_FLAGS or "amx_tile" in CPU_FLAGS):
        pytest.skip("the scratch of half-precision kernels is known for AVX-512 without AMX")
    rows = compared(form, mode, precision)
    for case, of_peak, of_step in rows:
        assert abs(of_peak) < 0.05 and abs(of_step) < 0.05, (case, of_peak, of_step)
    # What half-precision kernels take beside belongs to the oneDNN of one torch: with 2.11 it is a
    # little less than predicted, though never by the 5 % above.
    is_known = precision == "fp32" or torch.__version__ >= "2.15"
    assert np.median([abs(of_step) for _, _, of_step in rows]) < (0.01 if is_known else 0.02)


@pytest.mark.parametrize(("form", "batch", "heads", "dk", "dv", "position"), [
    ("sdpa-bias", 1, 8, 64, 32, "none"),
    ("sdpa-bias", 4, 1, 16, 1, "none"),
    ("sdpa-bias", 4, 8, 64, 32, "none"),
    ("sdpa-bias", 4, 4, 4, 4, "none"),
    ("factored", 4, 1, 8, 16, "relative"),
    ("factored", 4, 4, 32, 4, "none"),
    ("factored", 4, 4, 4, 64, "relative"),
    ("blocked", 4, 8, 64, 16, "relative"),
])  # fmt: skip
def test_peaks_behind_the_gradients_of_the_projection(
    form: str, batch: int, heads: int, dk: int, dv: int, position: str
) -> None:
    """Many channels in, few out: the peak is in the projection's backward pass.

    Whether that wants a copy of its gradient depends on the order in which a form gives it.
    """
    layer = Layer(256, dv + 16, 3, 1, 1, heads, dk, dv, position, 12, 9)
    case = Case(layer, batch, "forward-backward", "fp32", form)
    figures = predict_layers(LayerColumns.from_cases([case], "cpu", torch.get_num_threads()))
    real = measured(case)
    assert figures["predicted_step_peak_bytes"][0] == pytest.approx(real.step_peak_bytes, rel=0.02)


@pytest.mark.parametrize(("case", "error"), [
    # Drawn cases whose step's peak was 30, 8, 7, 1, 2, 2 and 2 % too low.
    (Case(Layer(256, 256, 1, 1, 2, 1, 20, 16, "relative", 19, 28), 1, "infer", "bf16", "blocked"), 0.002),
    (Case(Layer(256, 96, 1, 2, 1, 1, 8, 16, "none", 22, 32), 1, "infer", "bf16", "broadcast"), 0.002),
    (Case(Layer(100, 256, 1, 2, 2, 2, 4, 32, "relative", 33, 23), 1, "train", "fp32", "materialized"), 0.03),
    (Case(Layer(128, 96, 1, 1, 2, 1, 2, 8, "relative", 16, 17), 8, "train", "fp32", "sdpa-bias"), 0.002),
    (Case(Layer(64, 200, 3, 2, 1, 1, 1, 16, "relative", 22, 36), 16, "infer", "bf16", "broadcast"), 0.002),
    (Case(Layer(16, 24, 3, 1, 2, 1, 20, 16, "relative", 18, 30), 8, "train", "bf16", "materialized"), 0.002),
    # A single map: its gradient has pixels innermost, which the fused kernel does not take.
    (Case(Layer(20, 96, 1, 1, 1, 1, 2, 16, "none", 24, 36), 1, "train", "fp32", "factored"), 0.002),
    # Several heads of one image: q is copied in part by the product itself.
    (Case(Layer(16, 24, 1, 1, 1, 2, 40, 16, "none", 15, 17), 1, "infer", "bf16", "broadcast"), 0.001),
])  # fmt: skip
def test_cases_that_were_once_outliers(case: Case, error: float) -> None:
    if torch.__version__ < "2.15" or "avx512_bf16" not in CPU_FLAGS or "amx_tile" in CPU_FLAGS:
        pytest.skip("these rules are those of torch 2.15's oneDNN for AVX-512 without AMX")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        figures = predict_layers(LayerColumns.from_cases([case.canonical()], "cpu", 2))
        real = measured(case.canonical())
    finally:
        torch.set_num_threads(before)
    step = figures["predicted_step_peak_bytes"][0]
    assert step == pytest.approx(real.step_peak_bytes, rel=error)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_optimizer_is_part_of_base_and_peak(optimizer: str) -> None:
    """Few pixels and many channels: Adam's temporary tensors are the peak of the step."""
    layer = Layer(256, 256, 3, 1, 1, 4, 80, 32, "relative", 7, 7)
    case = Case(layer, 1, "train", "fp32", "broadcast", optimizer=optimizer)
    figures = predict_layers(LayerColumns.from_cases([case], "cpu", torch.get_num_threads()))
    real = measured(case)
    assert figures["predicted_base_bytes"][0] == real.base_bytes
    assert figures["predicted_peak_bytes"][0] == pytest.approx(real.peak_allocated_bytes, rel=0.01)


def test_saved_bytes_are_what_the_output_keeps_alive() -> None:
    layer = Layer(16, 32, 3, 1, 1, 2, 16, 8, "relative", 12, 10)
    case = Case(layer, 4, "forward-backward", "fp32", "broadcast")
    subject = build_subject(case, torch.device("cpu"), seed=0)
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = subject.module(subject.input)
    base = {t.untyped_storage().data_ptr() for t in (*subject.model.parameters(), subject.input)}
    real = sum(size for place, size in kept.items() if place not in base)
    assert output.requires_grad
    figures = predict_layers(LayerColumns.from_cases([case], "cpu", torch.get_num_threads()))
    assert figures["saved_bytes"][0] == real


def test_full_maps_at_the_peak() -> None:
    layer = Layer(16, 32, 3, 1, 1, 4, 32, 16, "relative", 24, 24)
    cases = [
        replace(Case(layer, 4, "infer", "fp32", form)) for form in ("materialized", "broadcast")
    ]
    cases.append(Case(layer, 4, "infer", "fp32", "sdpa-bias"))
    figures = predict_layers(LayerColumns.from_cases(cases, "cpu", 2))
    assert list(figures["maps_at_peak"]) == [4, 3, 1]


def test_more_threads_take_more_scratch() -> None:
    layer = Layer(16, 32, 3, 1, 1, 4, 32, 16, "relative", 24, 24)
    case = Case(layer, 4, "infer", "fp32", "sdpa-bias")
    few, many = (
        predict_layers(LayerColumns.from_cases([case], "cpu", threads)) for threads in (1, 16)
    )
    assert few["predicted_peak_bytes"][0] < many["predicted_peak_bytes"][0]
    assert few["macs"][0] == many["macs"][0]


def test_cuda_rounds_blocks_to_512_bytes() -> None:
    layer = Layer(3, 5, 1, 1, 1, 1, 1, 1, "none", 1, 1)
    case = Case(layer, 1, "infer", "fp32", "broadcast")
    figures = predict_layers(LayerColumns.from_cases([case], "cuda", 1))
    # Input and three weights; then kqv and q, and at most three blocks more at any one time.
    assert figures["predicted_base_bytes"][0] == 4 * 512
    assert figures["predicted_peak_bytes"][0] % 512 == 0


def test_blocks_are_as_large_as_the_layers() -> None:
    from aabench.cost.blocked import BUFFER_BYTES
    from aabench.layers.attention.blocked import DEFAULT_BUFFER_BYTES

    assert BUFFER_BYTES == DEFAULT_BUFFER_BYTES


def test_a_large_map_never_appears_in_forms_without_one() -> None:
    """N = 32 x 32 with 8 heads: a map of 256 MiB against a few MiB."""
    layer = Layer(64, 64, 3, 1, 1, 8, 160, 16, "relative", 32, 32)
    map_bytes = 8 * 8 * 1024**2 * 4
    for form in ("blocked", "factored"):
        for mode in ("infer", "train"):
            columns = LayerColumns.from_cases([Case(layer, 8, mode, "fp32", form)], "cpu", 2)
            figures = predict_layers(columns)
            assert figures["maps_at_peak"][0] == 0
            assert figures["predicted_peak_bytes"][0] < map_bytes
