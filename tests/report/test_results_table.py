"""The final table: constant axes said once, failures with reasons, narrow terminals, large runs."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console
from synthetic_frames import every_status, quick_frame, sweep_frame

from aabench.cases.columns import COLUMN_NAMES, STATUSES
from aabench.report.results_table import FIRST_ROWS, MANY_ROWS, results_table

DATA = Path(__file__).parent / "data"


def rendered(frame: pd.DataFrame, width: int = 120, *, terminal: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
    )
    with console.capture() as capture:
        console.print(results_table(frame, width=width))
    return capture.get()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_checked_in_run_looks_as_it_did(width: int) -> None:
    """On purpose different: write the new text with the lines of this test, and look at it."""
    expected = (DATA / f"quick-{width}.txt").read_text(encoding="utf-8")
    assert rendered(quick_frame(), width) == expected


def test_what_all_rows_share_is_said_once_and_is_no_column() -> None:
    text = rendered(sweep_frame(heads=(8,), batches=(1, 8)))
    assert "all rows: 256→256 channels, 3x3, 8 heads," in text
    assert "relative positions, fp32, on cpu" in " ".join(text.split())
    head = next(line for line in text.splitlines() if line.startswith("input"))
    assert head.split()[:4] == ["input", "batch", "mode", "attention"]


def test_rows_without_a_value_do_not_make_an_axis_swept() -> None:
    frame = sweep_frame(resolutions=(28,)).astype({"height": float, "width": float})
    frame.loc[0, ["height", "width"]] = np.nan
    text = rendered(frame)
    assert "28x28, batch 1" in " ".join(text.split()) and "input" not in text


def test_every_status_is_visible_with_its_reason() -> None:
    frame = every_status()
    lines = rendered(frame).splitlines()
    for status, reason in zip(frame["status"], frame["reason"], strict=True):
        row = next(line for line in lines if line.startswith(("14", "28", "56")) and status in line)
        grouped = [line for line in lines if line.lstrip().startswith(f"1 {status}: ")]
        assert status in lines[0]
        if isinstance(reason, str):
            assert reason[:20] in row
            assert len(grouped) == 1 and reason[:20] in grouped[0]
        else:
            assert not grouped
    assert set(frame["status"]) == set(STATUSES)


def test_nothing_foreign_reaches_the_terminal() -> None:
    text = rendered(every_status())
    assert "\x1b" not in text
    assert "RuntimeError: [enforce fail] bad Traceback: line 3 | here" in text


def test_a_predicted_peak_is_marked_and_explained() -> None:
    text = rendered(every_status())
    assert "~3.36" in text and "~ predicted, not measured" in " ".join(text.split())
    assert "predicted" not in rendered(sweep_frame())


def test_warnings_and_notes_stand_once_with_remedies() -> None:
    text = rendered(quick_frame())
    assert "6 rows: the spread is 11–31 % of the median" in text
    assert "→ give --seconds-per-case 5, or stop other programs" in text
    assert text.count("fewer than 10 samples") == 1
    assert "12 rows: dk raised from 48 to 64" in text


@pytest.mark.parametrize("width", [60, 72, 80, 100, 120, 200])
@pytest.mark.parametrize("make", [quick_frame, every_status, sweep_frame])
def test_no_line_is_wider_than_the_terminal(make: object, width: int) -> None:
    assert callable(make)
    text = rendered(make(), width)
    assert max(map(cell_len, text.splitlines())) <= width


def test_a_narrow_terminal_says_what_it_leaves_out_and_how_to_get_it() -> None:
    text = " ".join(rendered(quick_frame(), 80).split())
    assert "not shown at 80 columns: params, FLOPs vs plain, FLOPs" in text
    assert "--format csv has them" in text
    assert "not shown" not in rendered(quick_frame(), 120)


def test_many_axes_on_a_narrow_terminal_become_titles() -> None:
    frame = sweep_frame(batches=(1, 32), heads=(2, 8), resolutions=(14,))
    frame["precision"] = ["fp32", "amp-bf16"] * (len(frame) // 2)
    frame["position"] = ["none", "relative"] * (len(frame) // 2)
    lines = rendered(frame, 60).splitlines()
    at = lines.index("2 heads, no positions, batch 1, infer, fp32, materialized")
    assert lines[at + 1].startswith("   ") and "±" in lines[at + 1]


def test_a_ratio_makes_way_before_its_depth() -> None:
    frame = sweep_frame(heads=(2,), resolutions=(14,), modes=("infer",))
    frame["kappa"], frame["dk"] = [0.1, 0.2, 0.3], [24, 50, 76]
    assert any(line.startswith("kappa  dk  attention") for line in rendered(frame).splitlines())
    narrow = rendered(frame, 46)
    assert "kappa" not in narrow.split("not shown")[0] and "dk" in narrow


def test_a_pipe_gets_plain_text_and_a_terminal_colours() -> None:
    frame = sweep_frame(wall_bytes=1e8)
    assert "\x1b" not in rendered(frame) and "─" not in rendered(frame)
    coloured = rendered(frame, terminal=True)
    assert "\x1b[31moom" in coloured and "─" in coloured


def test_repeated_axis_values_are_dim_on_a_terminal() -> None:
    lines = rendered(sweep_frame(), terminal=True).splitlines()
    rows = [line for line in lines if "broadcast" in line and "14x14" in line]
    assert "\x1b[2m14x14\x1b[0m" in rows[0]


def test_a_large_run_is_summed_up() -> None:
    frame = sweep_frame(
        resolutions=range(4, 60, 4), heads=(1, 2, 4, 8), batches=(1, 8), wall_bytes=1e9
    )
    frame.attrs["folder"] = "results/large"
    assert len(frame) > MANY_ROWS
    text = rendered(frame)
    lines = text.splitlines()
    counts = frame["status"].value_counts()
    assert f"{len(frame):,} rows: {counts['ok']} ok, {counts['oom']} oom" in lines[0]
    rest = f"{len(frame) - FIRST_ROWS:,} more rows; all of them: --format csv, or"
    assert f"{rest} results/large/results.csv" in text
    assert "Medians by axis" in text and "Rows to look at" in text
    assert any(line.startswith("  fastest, smallest: 1 head, 4x4, batch 1") for line in lines)
    assert len(lines) < 120


def test_a_run_at_the_limit_is_printed_whole() -> None:
    frame = pd.concat([sweep_frame()] * 6, ignore_index=True)[:MANY_ROWS]
    lines = rendered(frame).splitlines()
    assert sum("14x14" in line or "28x28" in line or "56x56" in line for line in lines) >= MANY_ROWS
    assert "more rows" not in "\n".join(lines)


def test_a_run_without_any_row() -> None:
    assert rendered(pd.DataFrame(columns=list(COLUMN_NAMES))) == "0 rows\n"


def test_a_single_row_is_described_in_words() -> None:
    text = rendered(sweep_frame().iloc[7:8])
    assert text.startswith("1 row: 1 ok\nall rows: 256→256 channels, 3x3, 2 heads")


def test_a_plan_has_axes_only() -> None:
    """What ``--dry-run`` shows: no status, no figures."""
    frame = sweep_frame().drop(columns=["predicted_peak_bytes", "params", "flops"])
    frame = frame.assign(status=None, reason=None, latency_median_s=np.nan)
    frame = frame.drop(columns=["peak_allocated_bytes"])
    frame = frame.drop(columns=[name for name in frame.columns if name.endswith("_ratio")])
    lines = rendered(frame).splitlines()
    assert lines[0] == "36 rows"
    assert "heads  input  mode   attention" in lines


def test_an_interrupted_run_says_so() -> None:
    frame = sweep_frame().astype({"reason": object})
    frame.loc[30:, "status"] = None
    frame.loc[30:, "reason"] = "not measured yet: give the same command again to go on"
    frame.attrs = {"name": "mine", "complete": False}
    text = rendered(frame)
    assert text.startswith("mine\n36 rows: 30 ok, 6 pending\nincomplete: the same command goes on")
    assert "6 pending: not measured yet" in text


def test_damage_that_was_found_is_reported() -> None:
    frame = sweep_frame()
    frame.attrs = {"problems": ["rows.jsonl line 7 is cut off"]}
    assert "Found damaged\n  rows.jsonl line 7 is cut off" in rendered(frame)


def test_every_kind_of_missing_value_and_number_is_understood() -> None:
    frame = sweep_frame(heads=(2,), modes=("infer",)).astype(object)
    frame["kappa"] = [Decimal("0.1"), Decimal("0.25"), None] * 3
    frame["params"] = pd.array([495616, None, 7] * 3, dtype="Int64")
    frame.loc[0, "latency_ratio"] = pd.NA
    frame.loc[1, "peak_allocated_bytes"] = None
    text = rendered(frame, 140)
    assert "0.25" in text and "–" in text


def test_a_row_of_another_version_is_shown_as_it_is() -> None:
    frame = sweep_frame()
    frame.loc[0, "status"] = "melted"
    assert "34 ok, 1 oom, 1 melted" in rendered(frame)
