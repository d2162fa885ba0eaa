"""Parquet: results with the types of their columns, for programs that read many of them."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING, Any

from aabench.cases.columns import COLUMNS
from aabench.errors import UsageError
from aabench.report.tidy_frame import tidy

if TYPE_CHECKING:
    import pandas as pd

_KINDS = {column.name: column.kind for column in COLUMNS}


def check_parquet() -> None:
    """Refuse Parquet where nothing here can write it.

    Raises:
        UsageError: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed",
            instead="pip install 'aabench[parquet]', or take csv",
        )


def parquet_of(frame: pd.DataFrame) -> bytes:
    """Results as a Parquet file.

    A column has the type of the schema whatever its values are, so that files of several runs can be
    read as one; ``frame.attrs``, and with them the environment, come along.

    Raises:
        UsageError: pyarrow is not installed.
    """
    check_parquet()
    tidied = tidy(frame)
    stream = io.BytesIO()
    tidied.to_parquet(stream, engine="pyarrow", index=False, schema=_schema(tidied))
    return stream.getvalue()


def _schema(frame: pd.DataFrame) -> Any:
    """The Arrow types: the schema's, and text for columns beyond it that hold no numbers."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "whole": pa.int64(),
        "number": pa.float64(),
        "switch": pa.bool_(),
    }
    fields = []
    for name in frame.columns:
        known = types.get(_KINDS.get(name, ""))
        if known is None:
            numbers = frame[name].dtype.kind in "iufb"
            known = pa.from_numpy_dtype(frame[name].to_numpy().dtype) if numbers else pa.string()
        fields.append(pa.field(name, known))
    return pa.schema(fields)
