"""Reading runs back: those of an older aabench, and stored tables that are damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from aabench.cases.columns import COLUMN_NAMES, DTYPES
from aabench.errors import UsageError
from aabench.runs.folder import RunFolder
from aabench.runs.reading import load_run, write_table

DATA = Path(__file__).parent / "data"
LATER_COLUMNS = ["kernel", "training_hours", "launch_bound", "samples"]
"""One of each kind, taken for columns that an older aabench did not have."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "before", tmp_path / "before"))


@pytest.fixture
def sealed(run: Path) -> Path:
    write_table(run)
    assert RunFolder(run).is_sealed
    return run


@pytest.fixture
def predicted(sealed: Path) -> Path:
    manifest = sealed / "manifest.json"
    values = json.loads(manifest.read_text()) | {"predicted_for": "t4-16gb"}
    manifest.write_text(json.dumps(values))
    return sealed


def replace_table(folder: Path, text: str) -> None:
    """Another table under the seal, as if it had been written so."""
    (folder / "results.csv").write_text(text)
    RunFolder(folder).seal()


def test_columns_that_an_older_aabench_did_not_have_are_empty(sealed: Path) -> None:
    before = load_run(sealed)
    table = pd.read_csv(sealed / "results.csv").drop(columns=LATER_COLUMNS)
    replace_table(sealed, table.to_csv(index=False))
    found = load_run(sealed)
    assert list(found.columns) == list(COLUMN_NAMES)
    assert found[LATER_COLUMNS].isna().all(axis=None)
    assert {name: str(found[name].dtype) for name in found} == {
        name: str(before[name].dtype) for name in before
    }
    assert str(found["launch_bound"].dtype) == DTYPES["launch_bound"]
    pd.testing.assert_series_equal(found["latency_median_s"], before["latency_median_s"])
    assert found.attrs["version"] == "0.1.0"


def test_columns_of_a_later_aabench_are_kept(sealed: Path) -> None:
    table = pd.read_csv(sealed / "results.csv").assign(novelty=7)
    replace_table(sealed, table.to_csv(index=False))
    assert load_run(sealed)["novelty"].tolist() == [7] * len(table)


DAMAGED = [
    "",
    "status,mode,batch\nok\n\x00",
    '"status',
    "hello\n",
    "status,mode,batch\nok,infer,many\n",
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_table_is_made_again_from_the_records(sealed: Path, text: str) -> None:
    before = load_run(sealed)
    replace_table(sealed, text)
    found = load_run(sealed)
    if text != DAMAGED[1]:  # a table of one row without figures can be read
        assert found.attrs["problems"] == [
            "results.csv is damaged; its rows were taken from the records"
        ]
        pd.testing.assert_frame_equal(found, before)


@pytest.mark.parametrize("text", [DAMAGED[0], *DAMAGED[2:]])
def test_a_damaged_prediction_says_so(predicted: Path, text: str) -> None:
    (predicted / "results.csv").write_text(text)
    with pytest.raises(UsageError, match=r"results\.csv is damaged: .*predict it again"):
        load_run(predicted)


def test_a_prediction_without_its_table_says_so(predicted: Path) -> None:
    (predicted / "results.csv").unlink()
    with pytest.raises(UsageError, match="cut short; predict it again"):
        load_run(predicted)


def test_records_of_no_case_in_the_grid_are_named(run: Path) -> None:
    """Were they left out in silence, the run would look as if it had never been measured."""
    rows = run / "rows.jsonl"
    records = [json.loads(line) for line in rows.read_text().splitlines()]
    for record in records[:2]:
        record["key"] = "c" + record["key"][::-1]
    rows.write_text("".join(json.dumps(record) + "\n" for record in records))
    (problem,) = load_run(run).attrs["problems"]
    assert problem.startswith("rows.jsonl has records of ")
    assert "not in the grid" in problem and problem.endswith("aabench 0.1.0 wrote it")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        '{"device": 3}',
        '{"device": {"device": "cpu"}}',
        '{"device": {"device": "cuda:0", "name": "x", "capability": "ab"}}',
        '{"device": {"device": "cuda:0", "name": "x", "capability": [8]}}',
    ],
)
def test_a_damaged_environment_is_left_out_and_said(run: Path, text: str) -> None:
    (run / "environment.json").write_text(text)
    frame = load_run(run)
    assert frame.attrs["problems"] == ["environment.json is damaged and was left out"]
    assert frame.attrs["environment"] == {} and frame.attrs["device"] == "unknown"
    assert set(frame["status"]) == {"ok"}
