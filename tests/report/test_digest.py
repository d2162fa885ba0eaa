"""The digest: ranges and walls per attention form, medians that compare like with like, extremes."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from synthetic_frames import sweep_frame

from aabench.report.aligned_text import TextColumn
from aabench.report.axis_text import swept_axes
from aabench.report.digest import MOST_VALUES, extreme_rows, form_columns, median_columns
from aabench.report.formats import write
from aabench.report.statuses import shown_status


def by_name(columns: list[TextColumn]) -> dict[str, list[str]]:
    return {column.name: list(column.cells) for column in columns}


def forms_of(frame: pd.DataFrame) -> dict[str, list[str]]:
    return by_name(form_columns(frame, shown_status(frame), swept_axes(frame)))


def test_every_form_has_its_range_against_the_convolution() -> None:
    frame = sweep_frame()
    forms = forms_of(frame)
    assert forms["attention"] == ["materialized", "broadcast", "sdpa-bias"]
    first = frame[frame["attention"] == "materialized"]["latency_ratio"]
    assert forms["range of time"][0] == f"{first.min():.2f}x–{first.max():.2f}x"


def test_the_wall_is_the_least_demanding_case_that_was_too_large() -> None:
    frame = sweep_frame(wall_bytes=3e8)
    forms = forms_of(frame)
    assert forms["ran"] == ["8 of 12", "9 of 12", "10 of 12"]
    assert forms["wall"] == [
        "2 heads, 56x56, infer",
        "2 heads, 56x56, train",
        "8 heads, 56x56, infer",
    ]


def test_the_wall_is_found_without_predictions_by_the_size_of_the_maps() -> None:
    frame = sweep_frame(heads=(8, 2), resolutions=(56, 28), modes=("infer",), wall_bytes=5e7)
    forms = forms_of(frame.drop(columns=["predicted_peak_bytes"]))
    assert forms["wall"] == ["8 heads, 28x28", "8 heads, 28x28", "2 heads, 56x56"]


def test_invalid_cases_are_not_counted_as_possible() -> None:
    frame = sweep_frame(heads=(2, 8))
    frame.loc[frame["heads"] == 2, "status"] = "invalid"
    assert forms_of(frame)["ran"][1] == "6 of 6"
    frame.loc[frame["attention"] == "broadcast", "status"] = "invalid"
    assert forms_of(frame)["attention"] == ["materialized", "sdpa-bias"]


def test_nothing_is_said_of_forms_that_have_no_figures() -> None:
    frame = sweep_frame().drop(columns=["latency_ratio", "peak_ratio"])
    frame["status"] = "predicted"
    assert forms_of(frame) == {}


def test_medians_compare_only_settings_that_ran_with_every_value() -> None:
    frame = sweep_frame(heads=(1, 16), resolutions=(14, 56), forms=("materialized",))
    ran = frame[(frame["heads"] == 1) | (frame["height"] == 14)].reset_index(drop=True)
    columns, is_starred = median_columns(ran, swept_axes(ran))
    table = by_name(columns)
    assert not is_starred
    assert table["rows"][:2] == ["2", "2"]  # 56x56 ran with 1 head alone, so it is left out
    medians = [float(cell) for cell in table["time"][:2]]
    matched = ran[ran["height"] == 14].groupby("heads")["latency_median_s"].median()
    assert medians[0] < medians[1]
    assert medians == pytest.approx((1000 * matched).tolist(), rel=0.01)


def test_values_that_share_no_setting_are_marked() -> None:
    frame = sweep_frame(heads=(2, 8), resolutions=(14, 28), forms=("broadcast",), modes=("infer",))
    ran = frame[(frame["heads"] == 2) == (frame["height"] == 14)].reset_index(drop=True)
    columns, is_starred = median_columns(ran, swept_axes(ran))
    assert is_starred
    assert by_name(columns)["axis"][0] == "heads*"


def test_an_axis_of_many_values_shows_its_ends() -> None:
    frame = sweep_frame(resolutions=range(4, 60, 2), heads=(2,), modes=("infer",))
    columns, _ = median_columns(frame, swept_axes(frame))
    table = by_name(columns)
    sides = [cell for cell in table["value"] if "x" in cell]
    assert len(sides) == MOST_VALUES
    assert (sides[0], sides[-1]) == ("4x4", "58x58")
    assert table["axis"][1] == "12 of 28"


def test_extremes_are_found_among_rows_with_gaps() -> None:
    frame = sweep_frame()
    frame.loc[0, "latency_median_s"] = np.nan
    found = extreme_rows(frame)
    assert found["fastest"] == frame["latency_median_s"].idxmin()
    assert found["largest vs plain"] == frame["peak_ratio"].idxmax()
    assert extreme_rows(frame.drop(columns=["latency_median_s"])).get("fastest") is None


def test_a_long_plan_of_which_nothing_ran_is_printed() -> None:
    rows = [{"status": None, "heads": heads, "height": 14, "width": 14} for heads in range(1, 302)]
    frame = pd.DataFrame(rows)
    stream = io.StringIO()
    write(frame, "table", stream, width=80)
    assert "301" in stream.getvalue()
