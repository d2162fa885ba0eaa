"""Ratios of noisy times: marked where they stand, in every format, and explained in the legend."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from synthetic_frames import sweep_frame

from aabench.measuring.statistics import summarize
from aabench.measuring.warning_rules import sample_remarks
from aabench.report.doubtful_times import doubtful_ratios, marked, noisy_times
from aabench.report.formats import write
from aabench.report.page.page_rows import PageRows
from aabench.report.page.row_table import table_data
from aabench.report.page.run_page import page_of_runs
from aabench.runs.table import _compare


def noisy_remark() -> str:
    """What is said of samples of which half are twice the others."""
    remarks = sample_remarks(summarize([1.0, 2.0] * 20))
    return next(f"{each.text} — {each.remedy}" for each in remarks if each.code == "noisy")


def plain_remark() -> str:
    """What is said of a row whose plain convolution is noisy."""
    row = {"latency_median_s": 2.0, "device": "cpu", "warnings": "only 6 samples — --rounds 4"}
    plain = {"latency_median_s": 1.0, "device": "cpu", "sample_warnings": [noisy_remark()]}
    _compare(row, plain)
    return str(row["warnings"])


@pytest.fixture
def frame() -> pd.DataFrame:
    """Six quiet rows, but the first is noisy and the fifth is compared with noise."""
    frame = sweep_frame(heads=(2,), modes=("infer",), resolutions=(14, 28), wall_bytes=np.inf)
    frame = frame.astype({"warnings": object})
    frame.loc[0, "warnings"] = f"only 6 samples — --rounds 4 | {noisy_remark()}"
    frame.loc[4, "warnings"] = plain_remark()
    frame.loc[5, "warnings"] = "only 6 samples — --rounds 4"
    return frame


def test_a_row_is_doubtful_by_its_own_noise_or_by_that_of_the_plain_one(
    frame: pd.DataFrame,
) -> None:
    assert noisy_times(frame).tolist() == [True, False, False, False, False, False]
    assert doubtful_ratios(frame).tolist() == [True, False, False, False, True, False]
    assert not doubtful_ratios(frame.drop(columns="warnings")).any()


def test_only_ratios_of_times_are_marked(frame: pd.DataFrame) -> None:
    text = written(frame, "table")
    first, *others = [
        line for line in text.splitlines() if line.startswith(("14x14  mat", "28x28"))
    ]
    assert first.count("x?") == 1
    assert [line.count("x?") for line in others[:3]] == [0, 1, 0]
    assert "? a ratio of noisy times, see the warnings" in text.replace("\n", " ")


def test_other_formats_have_the_mark_as_well(frame: pd.DataFrame) -> None:
    lines = [
        line for line in written(frame, "md").splitlines() if "x14 |" in line or "x28 |" in line
    ]
    assert ["x? |" in line for line in lines[:6]] == doubtful_ratios(frame).tolist()
    (times,) = (
        column["text"]
        for column in table_data(PageRows.of([frame]))["columns"]
        if column["head"] == "time vs plain"
    )
    assert [text.endswith("x?") for text in times] == doubtful_ratios(frame).tolist()
    assert "a ratio with ? is of noisy times" in page_of_runs([frame], title="noise")


def test_forms_are_marked_where_they_or_the_baseline_are_noisy(frame: pd.DataFrame) -> None:
    table = written(frame, "table").partition("Forms against materialized")[2]
    small, large = [line for line in table.splitlines() if line.startswith(("14x14", "28x28"))]
    assert small.count("x?") == 2  # the baseline is noisy, and with it both ratios of times
    assert "?" not in large  # the plain convolution has no part in these


def test_quiet_runs_have_neither_mark_nor_legend() -> None:
    text = written(sweep_frame(heads=(2,)), "table")
    assert "?" not in text


def test_marks_keep_the_digits_aligned() -> None:
    assert marked(["1.5x", "–", "12x"], [True, True, False]) == ["1.5x?", "– ", "12x "]
    assert marked(["1.5x", "–"], [False, True]) == ["1.5x", "–"]


def written(frame: pd.DataFrame, format_name: str) -> str:
    stream = io.StringIO()
    write(frame, format_name, stream, width=140)
    return stream.getvalue()
