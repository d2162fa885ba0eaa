"""Doubtful times: which rows warn of noise in a time, and the mark on every ratio made of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aabench.report.quantities import EMPTY

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Switches = NDArray[np.bool_]

DOUBTFUL = "?"
"""Stands after a ratio of times of which at least one is noisy."""

MEANING = f"{DOUBTFUL} a ratio of noisy times, see the warnings"

_OWN = r"(?:^|\| )noisy:"
_OF_PLAIN = r"doubt the ratio of times"
"""What the warnings of a row say of its own samples, and of those of the plain layer or network."""


def noisy_times(frame: pd.DataFrame) -> Switches:
    """Whether the warnings call each row's own time noisy."""
    return _warned(frame, _OWN)


def doubtful_ratios(frame: pd.DataFrame) -> Switches:
    """Whether the warnings doubt each row's time, or the plain one that it is divided by."""
    return _warned(frame, f"{_OWN}|{_OF_PLAIN}")


def marked(ratios: Sequence[str], doubtful: Iterable[bool]) -> list[str]:
    """The ratios, the doubtful ones with their mark; a blank after the others keeps digits aligned."""
    marks = [bool(mark) and text != EMPTY for text, mark in zip(ratios, doubtful, strict=True)]
    if not any(marks):
        return list(ratios)
    return [text + (DOUBTFUL if mark else " ") for text, mark in zip(ratios, marks, strict=True)]


def _warned(frame: pd.DataFrame, pattern: str) -> Switches:
    import numpy as np

    warned = np.zeros(len(frame), np.bool_)
    if "warnings" in frame.columns:
        said = frame["warnings"].notna().to_numpy()
        texts = frame["warnings"][said].astype(str)
        warned[said] = texts.str.contains(pattern, regex=True).to_numpy(dtype=np.bool_)
    return warned
