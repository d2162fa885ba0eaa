"""The files of a report: which formats there are, what each holds, and how a file is replaced."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

from aabench.errors import UnknownName, UsageError
from aabench.report.parquet import check_parquet, parquet_of
from aabench.report.side_by_side import side_by_side

if TYPE_CHECKING:
    import pandas as pd

    from aabench.report.page.accuracy_chart import PublishedAccuracy

STEM = "report"
"""The name of every file, before its suffix."""


@dataclass(frozen=True)
class ReportedRuns:
    """What a report is made from.

    Attributes:
        frames: one or several runs, as ``load_run`` gives them.
        budgets: bytes by name, for the page to draw and judge by.
        accuracies: what papers report of networks, for the page.
    """

    frames: Sequence[pd.DataFrame]
    budgets: Mapping[str, int] = field(default_factory=dict)
    accuracies: Sequence[PublishedAccuracy] = ()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All of them as one table."""
        return side_by_side(self.frames)

    @property
    def title(self) -> str:
        """What they are called."""
        return str(self.frame.attrs.get("name") or STEM)


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One format of report files.

    Attributes:
        suffix: of its files, with the point.
        meaning: one clause for ``--help``.
        content: makes the whole file.
    """

    suffix: str
    meaning: str
    content: Callable[[ReportedRuns], bytes]


def formats_of(text: str) -> list[str]:
    """The formats that a list such as ``html,md`` names, each once.

    Raises:
        UnknownName: no such format; the known ones are listed.
        UsageError: no format at all, or one that cannot be written here.
    """
    names = list(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
    if not names:
        raise UsageError("--to names no format", got=text, allowed=FILE_FORMATS)
    for name in names:
        if name not in FILE_FORMATS:
            raise UnknownName("file format", name, FILE_FORMATS)
    if "parquet" in names:
        check_parquet()
    return names


def write_files(runs: ReportedRuns, formats: Sequence[str], folder: Path) -> Iterator[Path]:
    """Write a file for each format into a folder, which is made if need be; each as it is asked for.

    Raises:
        UsageError: a file cannot be written; what was there is kept.
    """
    for name in formats:
        file_format = FILE_FORMATS[name]
        path = folder / (STEM + file_format.suffix)
        replace_file(path, file_format.content(runs))
        yield path


def replace_file(
    path: Path, content: bytes, *, instead: str = "give another folder with --into"
) -> None:
    """Put a file in place whole: readers see the old one or the new one.

    Raises:
        UsageError: it cannot be written; an earlier file is kept.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", instead=instead) from error


def _html(runs: ReportedRuns) -> bytes:
    from aabench.report.page.run_page import page_of_runs

    page = page_of_runs(
        runs.frames, title=runs.title, budgets=runs.budgets, accuracies=runs.accuracies
    )
    return page.encode()


def _markdown(runs: ReportedRuns) -> bytes:
    from aabench.report.markdown_report import write_markdown_report
    from aabench.report.printed_report import printed_report

    return _encoded(lambda stream: write_markdown_report(printed_report(runs.frame), stream))


def _latex(runs: ReportedRuns) -> bytes:
    from aabench.report.latex_report import write_latex_report
    from aabench.report.printed_report import printed_report

    return _encoded(lambda stream: write_latex_report(printed_report(runs.frame), stream))


def _csv(runs: ReportedRuns) -> bytes:
    from aabench.report.records import write_csv
    from aabench.report.tidy_frame import tidy

    return _encoded(lambda stream: write_csv(tidy(runs.frame), stream))


def _parquet(runs: ReportedRuns) -> bytes:
    return parquet_of(runs.frame)


def _encoded(write: Callable[[IO[str]], None]) -> bytes:
    stream = io.StringIO(newline="")
    write(stream)
    return stream.getvalue().encode()


FILE_FORMATS: dict[str, FileFormat] = {
    "html": FileFormat(".html", "one page with pictures that needs no network", _html),
    "md": FileFormat(".md", "tables for notes and issues", _markdown),
    "latex": FileFormat(".tex", "tables for papers", _latex),
    "csv": FileFormat(".csv", "every column, exact", _csv),
    "parquet": FileFormat(".parquet", "the same with types; needs pyarrow", _parquet),
}
"""Every format by what ``--to`` calls it."""
