"""The formats: CSV that pandas reads back in one line, JSON, Markdown, and the table in a stream."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text
from synthetic_frames import QUICK_CSV, every_status, quick_frame, sweep_frame

from aabench.cases.columns import COLUMN_NAMES
from aabench.errors import UnknownName
from aabench.report.formats import FORMATS, write
from aabench.report.terminal import PIPE_WIDTH, print_to
from aabench.report.tidy_frame import WHOLE_NUMBERS


def written(frame: pd.DataFrame, format_name: str, **options: int) -> str:
    stream = io.StringIO(newline="")
    write(frame, format_name, stream, **options)
    return stream.getvalue()


def assert_same_values(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    for name in expected.columns:
        assert found[name].isna().tolist() == expected[name].isna().tolist(), name
        pairs = zip(found[name].dropna(), expected[name].dropna(), strict=True)
        for mine, theirs in pairs:
            # Some versions of pandas read floats with an error in the last digit.
            if isinstance(theirs, float):
                assert mine == pytest.approx(theirs, rel=4e-16), name
            else:
                assert mine == theirs, name


def test_pandas_reads_the_csv_back_in_one_line() -> None:
    frame = sweep_frame(wall_bytes=1e8)
    found = pd.read_csv(io.StringIO(written(frame, "csv")))
    assert_same_values(found, frame)
    assert list(found.columns) == list(COLUMN_NAMES)


def test_the_csv_of_a_run_does_not_change() -> None:
    with QUICK_CSV.open(newline="", encoding="utf-8") as stream:
        assert written(quick_frame(), "csv") == stream.read()


def test_whole_numbers_stay_whole_where_some_rows_have_none() -> None:
    lines = written(every_status(), "csv").splitlines()
    names = lines[0].split(",")
    measured = dict(zip(names, lines[1].split(","), strict=False))
    assert measured["peak_allocated_bytes"].isdigit()
    assert "params" in WHOLE_NUMBERS and "latency_median_s" not in WHOLE_NUMBERS
    assert "energy_per_item_j" not in WHOLE_NUMBERS


def test_numbers_beyond_64_bits_are_written_in_full() -> None:
    frame = sweep_frame().astype({"flops": object})
    frame.loc[0, "flops"] = 10**25 + 1
    assert f",{10**25 + 1}," in written(frame, "csv")
    assert json.loads(written(frame, "json"))[0]["flops"] == 10**25 + 1


def test_columns_come_in_schema_order_and_unknown_ones_last() -> None:
    frame = sweep_frame()[["latency_median_s", "heads", "status"]].assign(favourite="flash")
    head = written(frame, "csv").splitlines()[0]
    assert head == "status,heads,latency_median_s,favourite"


def test_the_frame_is_left_as_it_was() -> None:
    frame = every_status()
    before = frame.copy()
    for name in FORMATS:
        written(frame, name)
    pd.testing.assert_frame_equal(frame, before)


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1)
        .map(lambda text: "x" + text)
        .filter(lambda text: text == text.strip("﻿")),
        min_size=1,
        max_size=4,
    )
)
def test_any_text_survives_the_csv(texts: list[str]) -> None:
    frame = pd.DataFrame({"status": "crashed", "reason": texts, "heads": range(len(texts))})
    found = pd.read_csv(io.StringIO(written(frame, "csv"), newline=""))
    assert found["reason"].tolist() == texts
    assert [record["reason"] for record in json.loads(written(frame, "json"))] == texts


def test_carriage_returns_do_not_end_a_row_of_the_csv() -> None:
    frame = pd.DataFrame({"status": ["crashed"], "reason": ["10 %\r20 %\r\ndone\0"]})
    found = pd.read_csv(io.StringIO(written(frame, "csv"), newline=""))
    assert found["reason"].tolist() == ["10 %\n20 %\ndone"]


def test_json_is_a_list_of_records_with_null_for_nothing() -> None:
    frame = every_status()
    frame["launch_bound"] = [True, None, False] * 3
    frame["kappa"] = Decimal("0.25")
    frame.loc[2, "latency_ratio"] = np.inf
    frame.loc[3, "notes"] = ""
    records = json.loads(written(frame, "json"))
    assert [record["status"] for record in records] == frame["status"].tolist()
    assert records[0]["latency_median_s"] == frame["latency_median_s"][0]
    assert records[0]["launch_bound"] is True and records[1]["launch_bound"] is None
    assert records[1]["latency_median_s"] is None and records[2]["latency_ratio"] is None
    assert records[3]["notes"] is None
    assert isinstance(records[0]["params"], int) and records[0]["compile"] is False
    assert written(frame[:0], "json") == "[]\n"


def test_json_has_one_record_a_line() -> None:
    lines = written(sweep_frame(), "json").splitlines()
    assert len(lines) == 36 + 2
    assert json.loads(lines[3].rstrip(","))["attention"] == "sdpa-bias"


def test_markdown_has_units_in_its_head_and_pipes_escaped() -> None:
    table = written(every_status(), "md").partition("\n\ntime: ")[0]
    caption, blank, head, rule, *rows = table.splitlines()
    assert caption.startswith("All rows: 256→256 channels, 3x3") and blank == ""
    assert "| time / ms | peak / MiB | FLOPs / GFLOP |" in head and "| time vs plain |" in head
    assert rule.startswith("| --: | :-- | :-- | --: |")
    assert len(rows) == 9
    assert rows[0].split(" | ")[3] == "7.01 ± 0.11"
    assert "line 3 \\| here" in rows[7]
    cells = {line.replace("\\|", "").count("|") for line in (head, rule, *rows)}
    assert len(cells) == 1


def test_markdown_says_which_run_it_is_of_and_what_makes_it_doubtful() -> None:
    text = written(quick_frame(), "md")
    assert text.startswith("- quick · Intel Xeon 2.2 GHz · torch 2.15.0")
    assert "\n\ntime: median step ± half of its 95 % confidence interval" in text
    warning = (
        "the spread is 11–31 % of the median (give --seconds-per-case 5, or stop other programs)"
    )
    assert warning in text.partition("Warnings\n")[2]


def test_markdown_shows_angle_brackets() -> None:
    frame = every_status()
    frame.loc[7, "reason"] = "<class 'RuntimeError'>"
    assert "&lt;class 'RuntimeError'>" in written(frame, "md")


def test_a_table_in_a_pipe_is_plain_and_as_wide_as_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    text = written(quick_frame(), "table")
    assert "\x1b" not in text and "FLOPs\n" in text
    assert text == written(quick_frame(), "table", width=PIPE_WIDTH)
    monkeypatch.setenv("COLUMNS", "80")
    assert text != written(quick_frame(), "table")


class AsciiStream(io.StringIO):
    encoding = "ascii"


def test_a_stream_without_our_symbols_keeps_the_columns_aligned() -> None:
    stream = AsciiStream()
    write(quick_frame(), "table", stream, width=120)
    assert stream.getvalue().isascii()
    wide = written(quick_frame(), "table", width=120)
    assert [len(line) for line in stream.getvalue().splitlines()] == [
        len(line) for line in wide.splitlines()
    ]


def test_printing_does_not_crop_what_is_too_wide() -> None:
    stream = io.StringIO()
    print_to(stream, lambda width: Text("x" * 99), width=20)
    assert stream.getvalue() == "x" * 99 + "\n"


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown format; got 'cvs'; allowed: table, csv, json"):
        written(sweep_frame(), "cvs")
