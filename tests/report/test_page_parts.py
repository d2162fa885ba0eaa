"""The parts of a page: the Pareto front, coded axes, looks of forms, short numbers, pages of networks."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_contents import page_data, page_text

import aabench.report.page
from aabench.cases.catalogue import ATTENTIONS
from aabench.cases.module_part import ModulePart
from aabench.report.axis_text import AXES
from aabench.report.layer_table import Composition
from aabench.report.network_table import NetworkReport
from aabench.report.page.bundle import packed_data
from aabench.report.page.chart_text import chart_text
from aabench.report.page.coded_axis import coded_axis, row_groups
from aabench.report.page.form_look import form_looks
from aabench.report.page.network_page import page_of_network
from aabench.report.page.short_numbers import short_numbers
from aabench.report.page.trade_off_chart import pareto_front

few = settings(deadline=None, max_examples=60)

FIGURES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12).map(
    lambda points: np.array(points, dtype=np.float64)
)


@few
@given(FIGURES)
def test_front_has_the_undominated_points_once(points: np.ndarray) -> None:
    front = pareto_front(points[:, 0], points[:, 1])
    best = {
        tuple(one)
        for one in points.tolist()
        if not any(
            other[0] <= one[0] and other[1] <= one[1] and tuple(other) != tuple(one)
            for other in points.tolist()
        )
    }
    assert sorted(map(tuple, points[front].tolist())) == sorted(best)
    assert np.all(np.diff(points[front, 0]) > 0)


@few
@given(st.lists(st.one_of(st.integers(1, 40), st.none()), min_size=1, max_size=20))
def test_codes_lead_back_to_the_values(values: list[int | None]) -> None:
    frame = pd.DataFrame({"heads": pd.array(values, dtype="Int64")})
    axis = coded_axis(frame, next(axis for axis in AXES if axis.name == "heads"))
    back = [axis.labels[code] for code in axis.codes]
    assert back == ["–" if value is None else str(value) for value in values]
    known = [int(label) for label in axis.labels if label != "–"]
    assert known == sorted(set(known))
    assert "–" not in axis.labels[:-1]


def test_words_keep_their_order_and_resolutions_grow() -> None:
    frame = pd.DataFrame({"mode": ["train", "infer", "train"], "height": [56, 7, 14], "width": 14})
    mode, resolution = (
        coded_axis(frame, next(axis for axis in AXES if axis.name == name))
        for name in ("mode", "resolution")
    )
    assert mode.labels == ("train", "infer")
    assert resolution.labels == ("7x14", "14x14", "56x14")
    groups = row_groups([mode, resolution], np.array([0, 1, 2]))
    assert {key: rows.tolist() for key, rows in groups.items()} == {
        "0,2": [0],
        "1,0": [1],
        "0,1": [2],
    }


def test_looks_do_not_depend_on_which_forms_are_there() -> None:
    everything = form_looks([*ATTENTIONS.names(), "none", "my.module:form", "my.module:other"])
    assert len({(look.color, look.symbol) for look in everything.values()}) == len(everything)
    assert len({look.symbol for look in everything.values()}) == len(everything)
    assert form_looks(["blocked"])["blocked"] == everything["blocked"]


@few
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=8))
def test_short_numbers_are_near_and_finite(values: list[float]) -> None:
    for value, short in zip(values, short_numbers(np.array(values, np.float64)), strict=True):
        if math.isfinite(value):
            assert short == pytest.approx(value, rel=1e-5, abs=1e-300)
        else:
            assert short is None


def test_chart_text_has_no_tags_and_one_line() -> None:
    assert chart_text("a <b>&\n\x1b[31mc") == "a &lt;b&gt;&amp; c"


def test_packed_data_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError):
        packed_data([float("nan")])


def part(name: str, **at_peak: int) -> ModulePart:
    return ModulePart(
        name=name,
        kind="Conv2d",
        depth=1,
        output_shape=(1, 8, 4, 4),
        params=10,
        macs_forward=100,
        macs_step=300,
        bytes_saved=50,
        bytes_at_peak=sum(at_peak.values()),
        live_peak_bytes=4096,
        at_peak=at_peak,
    )


def network_page(parts: list[ModulePart]) -> str:
    total = sum(each.bytes_at_peak for each in parts)
    totals = {"predicted_peak_bytes": total, "params": 20}
    report = NetworkReport("net <1>", parts, Composition({"activations": total}), totals)
    rows = pd.DataFrame([{"status": "predicted", "network": "net <1>", **totals}])
    return page_of_network(report, rows, notes=["a <note>"])


def test_layers_are_stacked_by_what_their_bytes_are() -> None:
    parts = [part("<stem>", activations=3000, parameters=1000), part("head", activations=2000)]
    html = network_page([*parts, part("free")])
    (chart,) = page_data(html)["charts"]
    bars = {
        (trace["name"], name): amount
        for trace in chart["views"][""]["traces"]
        for name, amount in zip(trace["y"], trace["x"], strict=True)
    }
    size = {key: round(amount * 1024) for key, amount in bars.items()}
    assert size == {
        ("parameters", "&lt;stem&gt;"): 1000,
        ("parameters", "head"): 0,
        ("activations", "&lt;stem&gt;"): 3000,
        ("activations", "head"): 2000,
    }
    text = page_text(html)
    assert "a <note>" in text
    assert "<stem>" in text
    assert "free" in text  # the table has it, though it holds nothing at the peak


def test_of_many_layers_the_rest_is_summed_up_in_words() -> None:
    html = network_page([part(f"layer{place}", activations=1000 + place) for place in range(70)])
    (chart,) = page_data(html)["charts"]
    (trace,) = chart["views"][""]["traces"]
    assert trace["y"][0] == "layer10"
    assert len(trace["y"]) == 60
    assert "10 more layers hold 9.81 KiB together" in chart["views"][""]["note"]


def test_importing_the_page_loads_nothing_heavy() -> None:
    folder = Path(aabench.report.page.__file__).parent
    names = [f"aabench.report.page.{path.stem}" for path in folder.glob("[a-z]*.py")]
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "pandas", "numpy", "plotly", "jinja2", "itables"}
    assert not heavy & set(done.stdout.split())
