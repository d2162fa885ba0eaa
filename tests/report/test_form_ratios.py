"""Forms against the baseline: pairs that differ in the form alone, gaps, marks, summaries."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_frames import every_status, quick_frame, sweep_frame

from aabench.report.form_ratios import MEMORY, TIME, FormRatios, form_ratios
from aabench.report.formats import write
from aabench.report.quantities import ratio_text
from aabench.report.results import Results

FIGURES = ["latency_median_s", "latency_ci_low_s", "latency_ci_high_s", "step_peak_bytes"]


def ratios_of(frame: pd.DataFrame) -> FormRatios:
    found = form_ratios(Results.of(frame, width=100))
    assert found is not None
    return found


def cells_of(found: FormRatios) -> dict[str, list[str]]:
    return {column.name: list(column.cells) for column in found.table()}


def section(frame: pd.DataFrame, width: int = 100, format_name: str = "table") -> str:
    stream = io.StringIO()
    write(frame, format_name, stream, width=width)
    return stream.getvalue().partition("Forms against materialized")[2]


def fail(frame: pd.DataFrame, rows: pd.Series, status: str) -> None:
    frame.loc[rows, "status"] = status
    frame.loc[rows, FIGURES] = np.nan


def test_a_ratio_is_of_two_rows_that_differ_in_the_form_alone() -> None:
    frame = sweep_frame(resolutions=(14, 56), wall_bytes=np.inf)
    cells = cells_of(ratios_of(frame.sample(frac=1, random_state=3)))
    rows = frame.set_index(["heads", "height", "mode", "attention"])
    axes = zip(cells["heads"], cells["resolution"], cells["mode"], strict=True)
    for position, (heads, side, mode) in enumerate(axes):
        setting = int(heads), int(side.partition("x")[0]), mode
        for name, column in (("time", "latency_median_s"), ("step peak", "step_peak_bytes")):
            mine, theirs = rows.loc[(*setting, "sdpa-bias")], rows.loc[(*setting, "materialized")]
            expected = ratio_text(mine[column] / theirs[column])
            assert cells[f"sdpa-bias {name}"][position].lstrip("≈") == expected
    assert len(cells["mode"]) == 8


def test_the_order_is_that_of_the_run() -> None:
    found = ratios_of(sweep_frame(heads=(8, 2), modes=("train",), resolutions=(28,)))
    assert cells_of(found)["heads"] == ["8", "2"]
    assert list(found.forms) == ["broadcast", "sdpa-bias"]


@pytest.mark.parametrize("column", ["latency_median_s", "step_peak_bytes"])
def test_nothing_is_made_up_where_a_figure_is_missing(column: str) -> None:
    frame = sweep_frame(heads=(2,), modes=("infer",), resolutions=(14, 28))
    frame.loc[(frame["attention"] == "sdpa-bias") & (frame["height"] == 14), column] = np.nan
    cells = cells_of(ratios_of(frame))
    gone, kept = (TIME, MEMORY) if column == "latency_median_s" else (MEMORY, TIME)
    assert cells[f"sdpa-bias {gone}"][0] == "–" and cells[f"sdpa-bias {gone}"][1] != "–"
    assert "–" not in cells[f"sdpa-bias {kept}"] + cells["broadcast time"]


def test_figures_of_a_row_that_failed_later_do_not_count() -> None:
    frame = sweep_frame(heads=(2,), modes=("infer",))
    frame.loc[(frame["attention"] == "materialized") & (frame["height"] == 28), "status"] = (
        "crashed"
    )
    frame.loc[(frame["attention"] == "broadcast") & (frame["height"] == 56), "status"] = "timeout"
    cells = cells_of(ratios_of(frame))
    assert cells["resolution"] == ["14x14", "56x56"]
    assert cells["broadcast time"][1] == "timeout"


def test_a_row_that_failed_shows_its_status_in_place_of_its_ratios() -> None:
    frame = sweep_frame(heads=(2,), modes=("infer",))
    fail(frame, (frame["attention"] == "broadcast") & (frame["height"] == 28), "oom")
    cells = cells_of(ratios_of(frame))
    assert cells["broadcast time"][1] == cells["broadcast step peak"][1] == "oom"


def test_a_form_that_never_ran_is_named_with_its_status_and_is_no_column() -> None:
    frame = sweep_frame(heads=(2,))
    fail(frame, frame["attention"] == "broadcast", "unsupported")
    assert list(ratios_of(frame).forms) == ["sdpa-bias"]
    assert "broadcast has none: unsupported" in " ".join(section(frame).split())


def test_settings_without_the_baseline_are_counted_and_left_out() -> None:
    frame = sweep_frame(heads=(2, 8), modes=("infer",))
    fail(frame, (frame["attention"] == "materialized") & (frame["height"] == 56), "oom")
    found = ratios_of(frame)
    assert set(cells_of(found)["resolution"]) == {"14x14", "28x28"}
    assert "2 settings without figures of materialized left out" in " ".join(section(frame).split())


def test_overlapping_intervals_are_marked_and_the_mark_explained() -> None:
    frame = sweep_frame(heads=(2,), modes=("infer",), resolutions=(14, 56))
    frame.loc[frame["height"] == 14, "latency_ci_high_s"] *= 2
    cells = cells_of(ratios_of(frame))
    assert [cell[0] == "≈" for cell in cells["broadcast time"]] == [True, False]
    assert not any(cell.startswith("≈") for cell in cells["broadcast step peak"])
    assert "≈ their 95 % confidence intervals overlap" in " ".join(section(frame).split())
    frame["latency_ci_high_s"] = frame["latency_ci_low_s"] = frame["latency_median_s"]
    assert "≈" not in section(frame)


@pytest.mark.parametrize(
    "frame",
    [
        sweep_frame(forms=("broadcast", "sdpa-bias")),
        sweep_frame(forms=("materialized",)),
        every_status(),
        sweep_frame().drop(columns=["attention"]),
        sweep_frame().drop(columns=FIGURES),
        sweep_frame()[:0],
    ],
    ids=["no baseline", "baseline alone", "nothing to pair", "no forms", "prediction", "no rows"],
)
def test_there_is_no_section_where_there_is_no_pair(frame: pd.DataFrame) -> None:
    assert form_ratios(Results.of(frame, width=100)) is None
    assert section(frame) == section(frame, format_name="md") == ""


def test_predictions_take_no_part() -> None:
    frame = sweep_frame()
    frame["predicted_peak_bytes"] *= 7
    assert section(frame) == section(sweep_frame())


def test_the_plain_convolution_and_impossible_cases_are_no_forms() -> None:
    frame = sweep_frame(heads=(2,))
    plain = frame[frame["attention"] == "broadcast"].assign(attention="none", dv=0)
    impossible = frame.assign(heads=3, status="invalid")
    together = pd.concat([frame, plain, impossible], ignore_index=True)
    found = ratios_of(together)
    assert list(found.forms) == ["broadcast", "sdpa-bias"] and not found.unmeasured
    assert len(found.settings) == 6


def test_depths_that_follow_from_ratios_are_no_columns() -> None:
    frame = sweep_frame(heads=(2, 8), resolutions=(28,), modes=("infer",))
    frame["kappa"], frame["dk"] = frame["heads"] / 10, frame["heads"] * 4
    assert {"heads", "kappa"} <= set(cells_of(ratios_of(frame)))
    assert "dk" not in cells_of(ratios_of(frame))


def test_many_settings_are_summed_up_form_by_form() -> None:
    frame = sweep_frame(heads=(1, 2, 4, 8), resolutions=range(4, 60, 8), wall_bytes=np.inf)
    lines = section(frame).splitlines()
    rows = frame.set_index(["heads", "height", "mode", "attention"])["latency_median_s"].unstack()
    ratios = rows["sdpa-bias"] / rows["materialized"]
    line = next(line for line in lines if line.startswith("sdpa-bias")).split()
    spread = f"{ratio_text(ratios.min())}–{ratio_text(ratios.max())}"
    assert line[1:4] == ["56", ratio_text(ratios.median()), spread]
    assert "≈" not in "".join(lines)
    assert len(section(frame, format_name="md").splitlines()) > 56


def test_groups_stand_beside_each_other_or_one_below_the_other() -> None:
    wide, narrow = section(quick_frame(), 100), section(quick_frame(), 60)
    assert any("time" in line and "step peak" in line for line in wide.splitlines())
    assert not any(" time " in line and "step peak" in line for line in narrow.splitlines())
    assert wide.split().count("≈0.985x") == narrow.split().count("≈0.985x") == 1


def test_markdown_has_the_same_ratios_with_their_group_in_the_head() -> None:
    lines = filter(None, section(quick_frame(), 100, "md").partition("Warnings")[0].splitlines())
    head, rule, *rows, legend = lines
    assert legend.startswith("rows that differ in the form alone")
    assert head.endswith(
        "| broadcast time | sdpa-bias time | broadcast step peak | sdpa-bias step peak |"
    )
    assert rule.count("|") == head.count("|")
    assert rows[0] == "| 2 | 14x14 | infer | ≈0.985x | ≈0.974x | 0.600x | 0.300x |"


@given(
    kept=st.lists(st.booleans(), min_size=36, max_size=36),
    failed=st.lists(
        st.sampled_from(["ok", "oom", "unsupported", "predicted"]), min_size=36, max_size=36
    ),
    width=st.integers(60, 140),
)
@settings(deadline=None, max_examples=25)
def test_any_part_of_a_run_is_printed_with_no_ratio_of_what_failed(kept, failed, width) -> None:
    frame = sweep_frame()
    for status in ("oom", "unsupported", "predicted"):
        fail(frame, pd.Series(failed) == status, status)
    frame = frame[kept]
    results = Results.of(frame, width=width)
    found = form_ratios(results)
    assert max(map(len, section(frame, width).splitlines()), default=0) <= width
    ran = frame[frame["status"] == "ok"]
    pairs = ran.groupby(["heads", "height", "mode"])["attention"].agg(set)
    expected = sum(len(forms - {"materialized"}) for forms in pairs if "materialized" in forms)
    ratios = [
        cell
        for column in (found.table() if found else [])
        if column.group == MEMORY
        for cell in column.cells
        if cell.endswith("x")
    ]
    assert len(ratios) == expected
