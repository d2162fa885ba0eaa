"""The page of runs: everything is in it, nothing from outside comes alive in it, and it stays small."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from page_contents import page_data, page_tags, page_text, unpacked
from synthetic_frames import every_status, quick_frame, sweep_frame

import aabench
from aabench.report.page.accuracy_chart import PublishedAccuracy
from aabench.report.page.run_page import page_of_runs

HOSTILE = "<script>alert(1)</script>"

LIMIT_BYTES = 6_000_000


@pytest.fixture(scope="module")
def sweep() -> str:
    return page_of_runs([sweep_frame(batches=(1, 4))], title="a sweep")


def views(data: dict) -> list[dict]:
    return [view for chart in data["charts"] for view in chart["views"].values()]


def charts(data: dict) -> dict[str, dict]:
    return {chart["key"]: chart for chart in data["charts"]}


def test_plotly_itself_accepts_every_view(sweep: str) -> None:
    data = page_data(sweep)
    assert {"memory", "latency", "trade-off", "prediction"} == set(charts(data))
    for chart in data["charts"]:
        for view in chart["views"].values():
            layout = {**chart["layout"], **view["layout"]}
            figure = go.Figure(_in_black(view["traces"]), layout)  # raises on what it does not know
            assert figure.data


def _in_black(value):
    if isinstance(value, dict):
        return {name: _in_black(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_black(each) for each in value]
    return "black" if value == "@ink" else value


def test_nothing_is_loaded_from_anywhere(sweep: str) -> None:
    for tag, attributes in page_tags(sweep):
        assert tag not in ("iframe", "object", "embed", "img")
        assert "src" not in attributes
        for name in ("href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
    policies = [
        attributes["content"]
        for tag, attributes in page_tags(sweep)
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]


def test_libraries_are_the_packages_own(sweep: str) -> None:
    from plotly.offline import get_plotlyjs

    assert unpacked(sweep, "plotly-script") == get_plotlyjs()
    assert "export{" in unpacked(sweep, "table-script")


def test_every_row_is_there_whatever_became_of_it() -> None:
    frame = every_status()
    html = page_of_runs([frame], title="every status")
    data = page_data(html)
    assert data["rows"]["count"] == len(frame)
    assert data["rows"]["status"] == frame["status"].tolist()
    assert all(len(column["text"]) == len(frame) for column in data["rows"]["columns"])
    not_measured = ~frame["status"].isin(["ok", "predicted"])
    assert data["failed"] == not_measured.to_numpy().nonzero()[0].tolist()
    text = page_text(html)
    for reason in frame["reason"][not_measured].dropna():
        assert reason.split("\x1b")[0].strip() in text
    assert "the spread is 14 % of the median" in text
    assert "→ --seconds-per-case 5" in text
    assert "\x1b" not in html


def test_verdicts_come_from_what_can_answer() -> None:
    frame = every_status()
    rows = page_data(page_of_runs([frame], title="x"))["rows"]
    answers = dict(zip(rows["status"], zip(rows["low"], rows["high"], strict=True), strict=True))
    for status in ("unsupported", "invalid", "wrong", "crashed"):
        assert answers[status] == (None, None)
    for status in ("ok", "predicted", "oom", "timeout", "skipped"):
        low, high = answers[status]
        assert low == high > 0  # these rows have no band
    banded = aabench.predict(in_channels=64, out_channels=64, heads=4, resolution=14)
    answer = page_data(page_of_runs([banded], title="x"))["rows"]
    assert answer["low"] == [int(banded["predicted_peak_low_bytes"].iloc[0])]
    assert answer["high"] == [int(banded["predicted_peak_high_bytes"].iloc[0])]


def test_answers_hold_every_row_once() -> None:
    frame = sweep_frame(batches=(1, 4)).sample(frac=1, random_state=3)
    answer = page_data(page_of_runs([frame], title="x"))["answer"]
    assert sorted(row for places in answer["rows"] for row in places) == list(range(len(frame)))
    assert answer["heads"] == ["heads", "input", "batch", "mode"]
    frame = frame.reset_index(drop=True)
    for cells, places in zip(answer["cells"], answer["rows"], strict=True):
        for form, row in zip(answer["forms"], places, strict=True):
            assert frame["attention"][row] == form
            assert [str(frame["heads"][row]), str(frame["batch"][row])] == [cells[0], cells[2]]


def test_hostile_text_stays_text() -> None:
    frame = every_status()
    frame["attention"] = f"{HOSTILE}<b>form</b>"
    frame["reason"] = f"</script>{HOSTILE}"
    frame["warnings"] = f"{HOSTILE} — {HOSTILE}"
    frame.attrs = {
        "name": HOSTILE,
        "folder": f'"><img src=x onerror=alert(1)>{HOSTILE}',
        "device": HOSTILE,
        "environment": {"torch": HOSTILE, HOSTILE: {"a": [HOSTILE]}},
        "problems": [HOSTILE],
    }
    html = page_of_runs([frame], title=HOSTILE, budgets={HOSTILE: 2**30})
    assert html.count("<script") == len([tag for tag, _ in page_tags(html) if tag == "script"]) == 5
    assert "<img" not in html
    assert HOSTILE in page_text(html)
    for view in views(page_data(html)):
        for trace in view["traces"]:
            assert "<" not in trace["name"]
            assert not any("<" in text for text in trace.get("text", []))


def test_pictures_that_cannot_be_filled_say_why() -> None:
    frame = sweep_frame(resolutions=(14,), heads=(2,), modes=("infer",), forms=("broadcast",))
    html = page_of_runs([frame.drop(columns=["predicted_peak_bytes"])], title="one row")
    data = page_data(html)
    assert data["charts"] == []
    assert data["heat"] is None
    text = page_text(html)
    assert "Not drawn: all rows have one and the same resolution." in text
    assert "Not drawn: no two rows do the same work in different ways." in text
    assert "Not drawn: fewer than two axes differ between the rows." in text
    assert "Not drawn: no row has both a prediction and a measurement." in text


@pytest.mark.parametrize("rows", [slice(0, 0), slice(0, 1)])
def test_few_rows_or_none_make_a_page(rows: slice) -> None:
    frame = sweep_frame().iloc[rows]
    data = page_data(page_of_runs([frame], title="few"))
    assert data["rows"]["count"] == len(data["answer"]["rows"]) == len(frame)


def test_predictions_alone_make_every_picture_but_the_comparison() -> None:
    frame = aabench.predict(
        in_channels=64, out_channels=64, heads=[2, 4], resolution=[14, 28], gpu="t4-16gb",
        attention=["materialized", "blocked"],
    )  # fmt: skip
    data = page_data(page_of_runs([frame], title="predicted"))
    assert set(charts(data)) == {"memory", "latency", "trade-off"}
    (symbols,) = {
        symbol
        for trace in charts(data)["memory"]["views"]["0"]["traces"][:1]
        for symbol in trace["marker"]["symbol"]
    }
    assert symbols.endswith("-open")
    assert data["heat"]["axes"][data["heat"]["across"]]["name"] == "resolution"


def test_a_form_keeps_its_colour_and_mark_in_every_chart(sweep: str) -> None:
    looks: dict[str, set[tuple[str, str]]] = {}
    for view in views(page_data(sweep)):
        for trace in view["traces"]:
            if trace["name"] in ("materialized", "broadcast", "sdpa-bias"):
                for symbol in trace["marker"]["symbol"]:
                    look = (trace["marker"]["color"], symbol.removesuffix("-open"))
                    looks.setdefault(trace["name"], set()).add(look)
    plain = {form: {look for look in found if look[1] != "x"} for form, found in looks.items()}
    assert all(len(found) == 1 for found in plain.values())
    assert len(set.union(*plain.values())) == len(plain) == 3


def test_memory_chart_draws_the_rows_figures(sweep: str) -> None:
    frame = sweep_frame(batches=(1, 4))
    chart = charts(page_data(sweep))["memory"]
    assert chart["budgetAxis"] == "y"
    choices = {choice["name"]: choice["options"] for choice in chart["choices"]}
    assert choices == {"heads": ["2", "8"], "batch": ["1", "4"], "mode": ["infer", "train"]}
    (trace,) = [t for t in chart["views"]["1,0,1"]["traces"] if t["name"] == "broadcast"]
    rows = frame[
        (frame["heads"] == 8)
        & (frame["batch"] == 1)
        & (frame["mode"] == "train")
        & (frame["attention"] == "broadcast")
    ]
    peaks = rows["peak_allocated_bytes"].fillna(rows["predicted_peak_bytes"]).astype(float)
    drawn = np.array(trace["y"]) * chart["budgetUnit"]
    assert drawn == pytest.approx(peaks.to_numpy(), rel=1e-5)
    assert trace["x"] == [14.0, 28.0, 56.0]


def test_several_runs_stand_side_by_side() -> None:
    first, second = quick_frame(), quick_frame()
    second.attrs["folder"] = "results/other"
    data = page_data(page_of_runs([first, second], title="both"))
    assert data["rows"]["count"] == 2 * len(first)
    assert data["answer"]["heads"][0] == "run"
    assert "run" in {choice["name"] for choice in charts(data)["memory"]["choices"]}


def test_accuracies_belong_to_the_network_as_published() -> None:
    published = [PublishedAccuracy("aa-net", 224, 77.7, "top-1 on ImageNet", "a paper, table 3")]
    frame = pd.DataFrame(
        {
            "status": "ok",
            "network": "aa-net",
            "height": [224, 128, 224],
            "width": [224, 128, 224],
            "kappa": [np.nan, np.nan, 0.5],
            "batch": 1,
            "peak_allocated_bytes": [1e9, 5e8, 2e9],
            "latency_median_s": [0.1, 0.05, 0.2],
        }
    )
    chart = charts(page_data(page_of_runs([frame], title="n", accuracies=published)))["accuracy"]
    for view in chart["views"].values():
        (trace,) = view["traces"]
        assert (trace["y"], trace["text"]) == ([77.7], ["aa-net"])
        assert "a paper, table 3" in view["note"]
    none = page_of_runs([frame.iloc[1:]], title="n", accuracies=published)
    assert "accuracy" not in charts(page_data(none))
    assert "Not drawn: no row is a network at a resolution that a paper reports." in page_text(none)


def test_given_budgets_are_offered_beside_cards_and_sizes(sweep: str) -> None:
    data = page_data(page_of_runs([sweep_frame()], title="x", budgets={"mine": 123_456}))
    names = [budget["name"] for budget in data["budgets"]]
    sizes = [budget["bytes"] for budget in data["budgets"]]
    assert sizes == sorted(sizes)
    assert names[0] == "mine"
    assert data["budget"] == "16 GiB"
    assert {"16 GiB", "NVIDIA T4, 16 GB"} <= set(names)
    assert "mine" not in [budget["name"] for budget in page_data(sweep)["budgets"]]


def test_ten_thousand_rows_stay_below_six_megabytes() -> None:
    frame = aabench.predict(
        in_channels=256, heads=[1, 2, 4, 8, 16], kappa="0.125:0.5:0.125", mode="train",
        upsilon="0.125:0.5:0.125", resolution="7:56:7", batch=[1, 8, 32, 128], gpu="t4-16gb",
        attention=["materialized", "broadcast", "factored", "blocked"], out_channels=256,
    )  # fmt: skip
    assert len(frame) > 10_000
    html = page_of_runs([frame], title="large")
    assert len(html.encode()) < LIMIT_BYTES
    assert page_data(html)["rows"]["count"] == len(frame)
