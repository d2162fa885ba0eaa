"""The layer table: parts with totals, what is alive at the peak, and the figures of the step."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console
from synthetic_frames import sweep_frame

from aabench.cases.part import Part
from aabench.report.layer_table import Composition, layer_table

PARTS = (
    Part("conv", 442_368, 346_816_512, 1_040_449_536, 802_816, "its own output channels"),
    Part("kqv", 49_152, 38_535_168, 115_605_504, 3_200_000, "projection to k, q, v"),
    Part("logits", 0, 39_337_984, 118_013_952, 98_000_000, "q k^T of every head"),
)
PEAK = Composition({"weights": 2_000_000, "maps": 98_000_000, "input": 300})


def rendered(width: int = 120, **options: object) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    arguments = {"parts": PARTS, "title": "one case", "width": width, **options}
    with console.capture() as capture:
        console.print(layer_table(**arguments))  # type: ignore[arg-type]
    return capture.get().splitlines()


def test_parts_have_shares_and_a_total() -> None:
    lines = rendered()
    assert lines[0] == "one case"
    head, rule, conv, _, logits, total = lines[2:8]
    assert head.split("  ")[0] == "part" and set(rule) == {"-"}
    assert " ".join(conv.split()) == "conv 442 k 347 M 1.04 G 82 % 784 KiB its own output channels"
    assert logits.split()[:3] == ["logits", "39.3", "M"]  # no parameters: an empty cell
    assert total.split() == ["total", "492", "k", "425", "M", "1.27", "G", "97.3", "MiB"]


def test_in_inference_there_is_one_column_of_macs_and_nothing_saved() -> None:
    forward = [replace(part, macs_step=part.macs_forward, bytes_saved=0) for part in PARTS]
    head = rendered(parts=forward)[2]
    assert "MACs forward" in head and "MACs step" not in head and "saved" not in head


def test_the_peak_lists_the_largest_first_and_sums_up() -> None:
    lines = rendered(peak=PEAK)
    at = lines.index("Alive at the predicted peak, 95.4 MiB")
    names = [line.split()[0] for line in lines[at + 3 : at + 6]]
    assert names == ["maps", "weights", "input"]
    assert "98 %" in lines[at + 3] and "<1 %" in lines[at + 5]
    assert lines[at + 3].count("█") > lines[at + 4].count("█") == 0


def test_measured_figures_stand_beside_predicted_ones() -> None:
    row = sweep_frame().iloc[7].to_dict()
    row["peak_allocated_bytes"], row["predicted_peak_bytes"] = 100 * 2**20, 102 * 2**20
    text = "\n".join(rendered(row=row))
    assert "100 MiB measured, 102 MiB predicted, off by +2.0 %" in text
    assert "33.4 ± 0.5 ms" in text
    assert "2.17x the time, 5.61x the memory, 1.00x the FLOPs" in text


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA])
def test_what_was_not_measured_is_left_out(nothing: object) -> None:
    row = {"predicted_peak_bytes": 1024, "peak_allocated_bytes": nothing, "latency_ratio": nothing}
    lines = rendered(row=row)
    assert lines[-1].strip() == "peak memory  1.00 KiB predicted"


def test_a_case_that_failed_says_why() -> None:
    lines = rendered(row={"status": "oom", "reason": "asked for 6 GiB"})
    assert lines[-1].strip() == "oom  asked for 6 GiB"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_narrow_terminals_get_the_meanings_below(width: int) -> None:
    row = sweep_frame().iloc[7].to_dict()
    lines = rendered(width=width, peak=PEAK, row=row)
    assert max(map(cell_len, lines)) <= width
    assert "q k^T of every head" in " ".join(" ".join(lines).split())


def test_the_kernel_and_what_torch_refused_are_told() -> None:
    row = {"kernel": "math", "kernel_refused": "flash: mask that needs a gradient"}
    assert rendered(row=row)[-1].strip() == "kernel  math, not flash: mask that needs a gradient"
    assert rendered(row={"kernel": "flash", "kernel_refused": None})[-1].strip() == "kernel  flash"
