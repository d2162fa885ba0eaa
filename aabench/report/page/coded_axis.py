"""The coded axis: an axis of the results as a short list of labels and, per row, a place in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aabench.report.axis_text import AxisText, axis_column
from aabench.report.quantities import EMPTY

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CodedAxis:
    """One axis of some rows.

    Attributes:
        name: of the axis.
        head: its heading.
        labels: its values as text, numbers ascending, words in the order of the rows.
        codes: per row the place of its value among them.
        is_number: whether the values are numbers.
    """

    name: str
    head: str
    labels: tuple[str, ...]
    codes: Codes
    is_number: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "name": self.name,
            "head": self.head,
            "labels": list(self.labels),
            "codes": self.codes.tolist(),
        }


def coded_axis(frame: pd.DataFrame, axis: AxisText) -> CodedAxis:
    """Code one axis of a frame; rows without a value share the label for nothing."""
    import numpy as np
    import pandas as pd

    columns = list(axis.columns)
    values = frame[columns]
    is_number = all(pd.api.types.is_numeric_dtype(values[name]) for name in columns)
    is_number &= not any(pd.api.types.is_bool_dtype(values[name]) for name in columns)
    groups = values.groupby(columns, sort=False, dropna=False, observed=True).ngroup()
    _, first, places = np.unique(groups.to_numpy(), return_index=True, return_inverse=True)
    distinct = values.iloc[first].reset_index(drop=True)
    order = distinct.index.to_numpy()
    if is_number:
        order = distinct.sort_values(columns, na_position="last").index.to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    texts = axis_column(distinct.iloc[order].reset_index(drop=True), axis).cells
    labels = tuple(text or EMPTY for text in texts)
    return CodedAxis(axis.name, axis.head, labels, rank[places], is_number)


def row_groups(axes: Sequence[CodedAxis], rows: Codes) -> dict[str, Codes]:
    """Rows by their places on some axes: keys such as ``0,2``; one group of key "" without axes."""
    import numpy as np

    if not axes:
        return {"": rows}
    codes = np.stack([axis.codes[rows] for axis in axes], axis=1)
    distinct, inverse = np.unique(codes, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    parts = np.split(rows[order], np.cumsum(np.bincount(inverse))[:-1])
    keys = [",".join(map(str, codes)) for codes in distinct.tolist()]
    return dict(zip(keys, parts, strict=True))
