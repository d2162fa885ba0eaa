"""Sentences: a column of text of which most rows say one of few things, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

SEPARATOR = " | "
"""Between the sentences of one row, as in all results."""


class Sentences:
    """What is said of each row.

    Args:
        rows: how many there are.

    """

    def __init__(self, rows: int) -> None:
        self._codes = np.zeros(rows, np.int32)
        self._texts = [""]

    def add(self, rows: NDArray[np.int64], sentence: str) -> None:
        """Say this of some rows, after what was said of them before."""
        before = self._codes[rows]
        for code in np.unique(before):
            said = self._texts[code]
            self._texts.append(f"{said}{SEPARATOR}{sentence}" if said else sentence)
            self._codes[rows[before == code]] = len(self._texts) - 1

    def column(self) -> pd.Categorical[str]:
        """The texts; missing where nothing was said."""
        import pandas as pd

        used, codes = np.unique(self._codes, return_inverse=True)
        texts = list(dict.fromkeys(self._texts[code] for code in used if code))
        place = {text: number for number, text in enumerate(texts)}
        places = np.array([place.get(self._texts[code], -1) for code in used], np.int32)
        return pd.Categorical.from_codes(places[codes], categories=pd.Index(texts, dtype="str"))
