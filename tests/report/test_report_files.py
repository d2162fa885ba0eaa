"""The files of a report: their formats and contents, and that a file is replaced whole or not at all."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pandas as pd
import pytest
from synthetic_frames import every_status, quick_frame, sweep_frame

from aabench.cases.columns import COLUMNS, DTYPES
from aabench.errors import UnknownName, UsageError
from aabench.report.files import (
    FILE_FORMATS,
    ReportedRuns,
    formats_of,
    replace_file,
    write_files,
)
from aabench.report.parquet import parquet_of


def test_a_list_of_formats_is_read_once_each() -> None:
    assert formats_of("html, md,html") == ["html", "md"]


@pytest.mark.parametrize("text", ["", ",", " "])
def test_no_format_at_all_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no format.*allowed: html, md, latex, csv"):
        formats_of(text)


def test_an_unknown_format_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownName, match="html, md, latex, csv, parquet; did you mean latex?"):
        formats_of("csv,latec")


def test_each_format_has_a_file_of_its_own(tmp_path: Path) -> None:
    formats = ["md", "latex", "csv"]
    paths = list(write_files(ReportedRuns([quick_frame()]), formats, tmp_path / "new" / "folder"))
    assert [path.name for path in paths] == ["report.md", "report.tex", "report.csv"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(
        path.name for path in paths
    )
    pd.testing.assert_frame_equal(pd.read_csv(paths[2]), pd.read_csv(io.StringIO(exact_csv())))


def exact_csv() -> str:
    stream = io.StringIO()
    quick_frame().to_csv(stream, index=False)
    return stream.getvalue()


def test_several_runs_are_one_table() -> None:
    frames = [quick_frame(), quick_frame()]
    frames[1].attrs["folder"] = "elsewhere/other"
    runs = ReportedRuns(frames)
    found = pd.read_csv(io.BytesIO(FILE_FORMATS["csv"].content(runs)))
    assert found["run"].unique().tolist() == ["quick-1a2b3c4d", "other"]
    assert runs.title == "quick-1a2b3c4d, other"
    assert b"| run |" in FILE_FORMATS["md"].content(runs)


def test_an_earlier_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("yesterday")
    replace_file(path, b"today")
    assert path.read_text() == "today"
    assert [each.name for each in tmp_path.iterdir()] == ["report.md"]


def test_an_earlier_file_is_kept_where_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.md"
    path.write_text("yesterday")

    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match=r"report\.md cannot be written: No space left.*--into"):
        replace_file(path, b"today")
    assert path.read_text() == "yesterday"
    assert [each.name for each in tmp_path.iterdir()] == ["report.md"]


def test_a_target_that_is_no_folder_or_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written: (File exists|Not a directory)"):
        replace_file(tmp_path / "file" / "report.md", b"")
    (tmp_path / "report.md").mkdir()
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        replace_file(tmp_path / "report.md", b"")


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = quick_frame()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (lambda: formats_of("csv,parquet"), lambda: parquet_of(frame)):
        with pytest.raises(UsageError, match=r"pip install 'aabench\[parquet\]'"):
            call()


def typed_frame() -> pd.DataFrame:
    frame = every_status().astype(DTYPES)
    frame.attrs = {"name": "mine", "environment": {"torch": "2.15.0"}}
    return frame


def test_parquet_keeps_types_values_and_the_environment() -> None:
    pytest.importorskip("pyarrow", reason="the extra aabench[parquet] is not installed")
    frame = typed_frame()
    found = pd.read_parquet(io.BytesIO(parquet_of(frame)))
    for column in COLUMNS:
        mine, theirs = found[column.name], frame[column.name]
        if column.kind != "text":
            assert mine.dtype == theirs.dtype, column.name
        assert mine.isna().tolist() == theirs.isna().tolist(), column.name
        assert mine.dropna().tolist() == theirs.dropna().tolist(), column.name
    assert found.attrs == frame.attrs


def test_parquet_of_any_run_has_the_same_types() -> None:
    """Programs that read many files as one refuse a column that is empty in one and text in another."""
    arrow = pytest.importorskip("pyarrow.parquet", reason="aabench[parquet] is not installed")
    frames = [typed_frame(), sweep_frame().astype(DTYPES)[:0], typed_frame()[3:4]]
    schemas = [arrow.read_schema(io.BytesIO(parquet_of(frame))) for frame in frames]
    assert schemas[0].equals(schemas[1]) and schemas[0].equals(schemas[2])
    names = {"text": "string", "whole": "int64", "number": "double", "switch": "bool"}
    for column in COLUMNS:
        assert str(schemas[0].field(column.name).type) == names[column.kind], column.name
