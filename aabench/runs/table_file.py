"""The file of a predicted run's table: CSV or Parquet, written part by part."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aabench.runs.folder import PARQUET, TABLE

if TYPE_CHECKING:
    import pandas as pd

Write = Callable[[bytes], None]
"""Takes the encoded rows of one part; parts come in the order of their rows."""


class TableFile(Protocol):
    """A file format whose rows can be encoded in one process and written by another."""

    @property
    def name(self) -> str:
        """Of the file in the run folder."""
        ...

    def encode(self, frame: pd.DataFrame) -> bytes:
        """Some rows as they travel to whoever writes the file."""
        ...

    def writer(self, path: Path) -> AbstractContextManager[Write]:
        """A new file, complete when the context ends."""
        ...


@dataclass(frozen=True)
class CsvFile:
    """One head and a line a row."""

    name: str = TABLE

    def encode(self, frame: pd.DataFrame) -> bytes:
        """The lines of some rows, under a head."""
        return frame.to_csv(index=False, lineterminator="\n").encode()

    @contextmanager
    def writer(self, path: Path) -> Iterator[Write]:
        """Writes the head of the first part alone."""
        with path.open("wb") as stream:

            def write(lines: bytes) -> None:
                begin = lines.index(b"\n") + 1 if stream.tell() else 0
                stream.write(memoryview(lines)[begin:])

            yield write


@dataclass(frozen=True)
class ParquetFile:
    """One row group a part.

    Attributes:
        encode: makes a Parquet file of some rows, with the same schema whatever is in them.
        name: of the file.
    """

    encode: Callable[[pd.DataFrame], bytes]
    name: str = PARQUET

    @contextmanager
    def writer(self, path: Path) -> Iterator[Write]:
        """Writes what each part's own file holds into one."""
        import pyarrow.parquet as pq

        made: Any = None

        def write(content: bytes) -> None:
            nonlocal made
            rows = pq.read_table(io.BytesIO(content))
            if made is None:
                made = pq.ParquetWriter(path, rows.schema)
            made.write_table(rows)

        try:
            yield write
        finally:
            if made is not None:
                made.close()
