"""Remarks: each once with its number of rows, figures as ranges, remedies apart."""

from __future__ import annotations

import pandas as pd

from aabench.report.remarks import Remark, reasons, row_remarks


def test_cells_with_several_remarks_are_taken_apart_and_counted() -> None:
    cells = pd.Series(["a — do b | c", "a — do b", None, "c | a — do b", ""])
    assert row_remarks(cells) == [Remark(3, "a", "do b"), Remark(2, "c")]


def test_remarks_that_differ_in_figures_only_become_one_with_ranges() -> None:
    cells = pd.Series([f"spread {share} % of 40 samples" for share in ("14", "9.5", "120")])
    assert row_remarks(cells) == [Remark(3, "spread 9.5–120 % of 40 samples")]


def test_figures_with_thousands_separators_are_ordered_as_numbers() -> None:
    cells = pd.Series(["needs 9,000 bytes", "needs 10,000,000 bytes"])
    assert row_remarks(cells) == [Remark(2, "needs 9,000–10,000,000 bytes")]


def test_a_few_that_differ_in_figures_are_told_apart_if_asked() -> None:
    cells = pd.Series(["3 heads", "5 heads", "5 heads"])
    assert row_remarks(cells, alike=2) == [Remark(2, "5 heads"), Remark(1, "3 heads")]


def test_reasons_are_grouped_by_status_and_cut() -> None:
    status = pd.Series(["oom", "invalid", "oom", "crashed"])
    reason = pd.Series(["too large", "odd", "too large", "trace\n" * 1000])
    found = reasons(status, reason)
    assert [(remark.rows, remark.label) for remark in found] == [
        (2, "oom"),
        (1, "invalid"),
        (1, "crashed"),
    ]
    assert found[2].text.endswith("…") and len(found[2].text) <= 500
