"""Prediction of layers: what it returns, what it refuses, and that rows do not disturb each other."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn_layers import draw_case
from hypothesis import given, settings
from hypothesis import strategies as st

import aabench
from aabench.cases.case import MEMORY_FORMATS, MODES, OPTIMIZERS, PRECISIONS, Case, Layer
from aabench.cases.grid import Grid
from aabench.cost import layers as layers_module
from aabench.cost.columns import LayerColumns
from aabench.cost.execution import default_threads
from aabench.cost.explain import explain
from aabench.cost.layers import UNKNOWN, predict_layers
from aabench.cost.timeline import KINDS
from aabench.errors import UnknownName, UsageError
from aabench.runs.predicting import predict

LAYER = Layer(16, 32, 3, 1, 1, 4, 32, 16, "relative", 12, 12)


def columns(*cases: Case) -> LayerColumns:
    return LayerColumns.from_cases(cases, "cpu", 2)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_rows_are_predicted_as_if_alone(seed: int) -> None:
    rng = random.Random(seed)
    cases = [
        replace(
            draw_case(rng, modes=MODES, precisions=PRECISIONS),
            memory_format=rng.choice(MEMORY_FORMATS),
        )
        for _ in range(12)
    ]
    together = predict_layers(columns(*cases), composition=True)
    for row, case in enumerate(cases):
        alone = predict_layers(columns(case), composition=True)
        assert {name: values[row] for name, values in together.items()} == {
            name: values[0] for name, values in alone.items()
        }
        by_kind = sum(together[f"peak_bytes: {kind}"][row] for kind in KINDS)
        assert by_kind == together["predicted_peak_bytes"][row]
        step = together["predicted_step_peak_bytes"][row]
        assert step + together["predicted_base_bytes"][row] == by_kind
        assert step > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("device", ["cpu", "cuda", "meta"])
def test_every_setting_is_told_to_its_end(mode: str, precision: str, device: str) -> None:
    for memory_format in MEMORY_FORMATS:
        for optimizer in OPTIMIZERS:
            case = Case(LAYER, 2, mode, precision, "sdpa-bias", False, memory_format, optimizer)
            figures = predict_layers(LayerColumns.from_cases([case], device, 2))
            assert figures["predicted_step_peak_bytes"][0] > 0
            kept = figures["saved_bytes"][0]
            assert kept == 0 if mode == "infer" else kept > 0


def test_figures_beyond_64_bits_are_refused_and_those_below_are_exact() -> None:
    # N^2 dk alone: 16384^4 * 64 = 2^62 MACs forward, three times that in a step.
    vast = Layer(64, 128, 1, 1, 1, 1, 64, 64, "none", 16_384, 16_384)
    with pytest.raises(UsageError, match=r"overflow 64 bits.*got .*e\+"):
        predict_layers(columns(Case(LAYER), Case(vast, 1, "train", "fp32", "broadcast")))
    large = replace(vast, height=4096, width=4096)
    figures = predict_layers(columns(Case(large, 100, "infer", "fp32", "broadcast")))
    tokens = 4096**2
    macs = 100 * tokens * (2 * tokens * 64 + 64 * 64 + 64 * (2 * 64 + 64) + 64 * 64)
    assert figures["flops"][0] == 2 * macs > 2**62
    with pytest.raises(UsageError, match="batch"):
        predict_layers(columns(Case(LAYER, 2**31)))
    with pytest.raises(UsageError, match="overflow 64 bits"):
        columns(Case(LAYER, 2**70))


def test_forms_without_closed_form_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    without = SimpleNamespace(entry=lambda name: SimpleNamespace(cost=None))
    with monkeypatch.context() as patch:
        patch.setattr(layers_module, "ATTENTIONS", without)
        figures = predict_layers(columns(Case(LAYER, 2, "infer", "fp32", "mine")))
    assert figures["macs"][0] == figures["predicted_peak_bytes"][0] == UNKNOWN
    known = predict_layers(columns(Case(LAYER, 2, "infer", "fp32", "broadcast")))
    for name in ("params", "flops_forward"):
        assert figures[name][0] == known[name][0]


def test_explain_refuses_what_it_cannot_explain() -> None:
    with pytest.raises(UsageError, match="heads do not divide"):
        explain(Case(replace(LAYER, heads=3), attention="broadcast"))
    with pytest.raises(UsageError, match="auto"):
        explain(Case(LAYER))
    with pytest.raises(UsageError, match="no closed form"):
        explain(Case(replace(LAYER, position="mine:Own"), attention="broadcast"))
    with pytest.raises(UnknownName):
        explain(Case(LAYER, attention="brodcast"))
    plain = explain(Case(replace(LAYER, dv=0), mode="train"))
    assert [part.name for part in plain.parts] == ["convolution"]
    assert plain.maps_at_peak == 0


def test_the_table_has_every_entry_with_status_and_reason() -> None:
    frame = predict(
        in_channels=[16, 32],
        heads=[2, 3, 4],
        kappa=[0.1, 0.5],
        upsilon=[0.01, 0.25],
        resolution=[7, "8x10"],
        mode=["infer", "train"],
        attention=["broadcast", "auto"],
        min_key_depth_per_head=3,
    )
    assert aabench.predict is predict
    grid = Grid.of(
        {
            "in_channels": [16, 32],
            "heads": [2, 3, 4],
            "kappa": [0.1, 0.5],
            "upsilon": [0.01, 0.25],
            "resolution": [7, "8x10"],
            "mode": ["infer", "train"],
            "attention": ["broadcast", "auto"],
        },
        min_key_depth_per_head=3,
    )
    entries = list(grid.entries())
    assert len(frame) == len(entries)
    for row, entry in zip(frame.itertuples(), entries, strict=True):
        assert row.status == "predicted" and pd.isna(row.reason)
        assert (row.heads, row.dk, row.dv) == (
            entry.case.layer.heads,
            entry.case.layer.dk,
            entry.case.layer.dv,
        )
        notes = [] if pd.isna(row.notes) else row.notes.split(" | ")
        assert [note for note in notes if not note.startswith("auto")] == list(entry.notes)
        if row.attention != "none":
            case = replace(entry.case, attention=row.attention)
            assert row.predicted_peak_bytes == explain(case).figures["predicted_peak_bytes"]
            assert row.tokens == entry.case.layer.tokens


def test_impossible_and_compiled_rows() -> None:
    frame = predict(heads=[3, 4], dk=[8, 24], dv=[8, 300], in_channels=64, compile="off,on")
    invalid = frame[frame.status == "invalid"]
    assert list(frame.status == "invalid") == [True] * 8 + [False, False, True, True] * 2
    assert list(invalid.reason.astype(str).unique()) == [
        "3 heads do not divide dv = 8; allowed: 6 or 9",
        "dv = 300 exceeds the 64 output channels; allowed: 0 to 64",
    ]
    assert (
        invalid[["params", "flops", "predicted_peak_bytes", "maps_at_peak"]].isna().all(axis=None)
    )
    compiled = frame[frame.compile & (frame.status == "predicted")]
    assert compiled.flops.notna().all() and compiled.predicted_peak_bytes.isna().all()
    assert compiled.notes.str.contains("torch.compile").all()
    assert frame.params.dtype == "Int64"


def test_bad_axes_are_refused() -> None:
    with pytest.raises(UsageError):
        predict(heads=0)
    with pytest.raises(UnknownName, match="axis"):
        predict(head=1)


def test_default_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_threads() >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert default_threads() == 7
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert default_threads() >= 1


def test_prediction_imports_neither_torch_nor_pandas() -> None:
    script = (
        "import sys, pkgutil, importlib, aabench.cost\n"
        "for module in pkgutil.iter_modules(aabench.cost.__path__, 'aabench.cost.'):\n"
        "    importlib.import_module(module.name)\n"
        "from aabench.cost.columns import LayerColumns\n"
        "from aabench.cost.layers import predict_layers\n"
        "from aabench.cases.case import Case, Layer\n"
        "layer = Layer(16, 32, 3, 1, 1, 4, 32, 16, 'relative', 12, 12)\n"
        "predict_layers(LayerColumns.from_cases([Case(layer, attention='broadcast')]))\n"
        "print([name for name in ('torch', 'pandas') if name in sys.modules])\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_thousand_entries_are_columns_without_objects() -> None:
    frame = predict(batch="1:1000:1", attention="broadcast")
    assert not [name for name in frame.columns if frame[name].dtype == object]
    peaks = frame.predicted_peak_bytes.to_numpy()
    assert (np.diff(peaks) > 0).all()
