"""The run folder: what is written is read back, and what is damaged is named and left out."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.case import Case
from aabench.cases.grid import Grid
from aabench.errors import RunError, UsageError
from aabench.runs.folder import MANIFEST, ROWS, Manifest, RunFolder
from aabench.runs.settings import RunSettings
from aabench.runs.task import Outcome, Task


def manifest() -> Manifest:
    return Manifest("mine", Grid.of({"heads": "2,4"}), RunSettings(rounds=3), "0.1.0")


def task(number: int = 0) -> Task:
    case: Case = next(Grid.of({"heads": 2}).entries()).case
    return Task(case, number, "cpu", 0.5, 10, 0)


def outcome(**changes) -> Outcome:
    values = {"status": "ok", "figures": {"params": 7}, "samples_s": [0.1, 0.2], "device": "cpu"}
    return Outcome(**{**values, **changes})


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.create(manifest())
    return made


def test_a_manifest_is_read_back(folder):
    assert folder.manifest() == manifest()


def test_records_and_samples_are_read_back(folder):
    written = [folder.append(task(number), outcome()) for number in range(2)]
    read = list(folder.records())
    assert [record.round for record in read] == [0, 1]
    assert [record.sample_place for record in read] == [record.sample_place for record in written]
    assert folder.samples(read[1].sample_place) == [0.1, 0.2]
    assert read[0].outcome.figures == {"params": 7}
    assert folder.problems == []


def test_a_cut_off_line_is_left_out_and_the_next_one_is_whole(folder):
    folder.append(task(0), outcome())
    folder.append(task(1), outcome())
    path = folder.path / ROWS
    path.write_bytes(path.read_bytes()[:-30])
    folder.append(task(2), outcome(status="crashed", samples_s=[]))
    assert [record.round for record in folder.records()] == [0, 2]
    assert len(folder.problems) == 1
    assert "line 2 is damaged" in folder.problems[0]


def test_a_line_that_lacks_its_end_alone_is_whole(folder):
    """Were it left out now and read after the next one has ended it, a round would count twice."""
    folder.append(task(0), outcome())
    path = folder.path / ROWS
    path.write_bytes(path.read_bytes()[:-1])
    assert [record.round for record in folder.records()] == [0]
    folder.append(task(1), outcome())
    assert [record.round for record in folder.records()] == [0, 1]


@given(cut=st.integers(0, 400), noise=st.binary(max_size=40))
@settings(deadline=None, max_examples=60)
def test_any_damage_leaves_the_other_lines(tmp_path_factory, cut, noise):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    for number in range(3):
        folder.append(task(number), outcome())
    path = folder.path / ROWS
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = lines[1][:cut] + noise.replace(b"\n", b"") + b"\n"
    path.write_bytes(lines[0] + damaged + lines[2])
    rounds = [record.round for record in folder.records()]
    assert rounds[0] == 0
    assert rounds[-1] == 2


def test_a_full_disk_stops_the_run_and_keeps_the_rows(folder, monkeypatch):
    folder.append(task(0), outcome())
    real = os.write

    def half(descriptor, data):
        return real(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(RunError, match="make room and give the same command"):
        folder.append(task(1), outcome())
    monkeypatch.undo()
    folder.append(task(2), outcome())
    assert [record.round for record in folder.records()] == [0, 2]


def test_missing_manifest_says_so(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(UsageError, match="has no manifest.json"):
        folder.manifest()
    folder.append(task(0), outcome())
    with pytest.raises(UsageError, match=r"rows are still in rows\.jsonl"):
        folder.manifest()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": "x"}', "\x00"])
def test_damaged_manifest_says_so(folder, text):
    (folder.path / MANIFEST).write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json is damaged"):
        folder.manifest()


def test_newer_schema_says_so(folder):
    path = folder.path / MANIFEST
    values = json.loads(path.read_text()) | {"schema": 99}
    path.write_text(json.dumps(values))
    with pytest.raises(UsageError, match="newer aabench.*schema 99"):
        folder.manifest()


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"holds other things.*thesis\.tex"):
        RunFolder(tmp_path).check_target()
    with pytest.raises(UsageError, match="is a file"):
        RunFolder(tmp_path / "thesis.tex").check_target()


def test_an_earlier_run_is_put_aside_not_deleted(folder):
    folder.append(task(0), outcome())
    folder.discard()
    assert not folder.exists
    kept = sorted(path.name.split(".before-")[0] for path in Path(folder.path).iterdir())
    assert kept == ["manifest.json", "rows.jsonl", "samples.jsonl"]
