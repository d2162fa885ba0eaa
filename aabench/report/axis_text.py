"""The axes of a results table as people read them: which are swept, and the words for a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aabench.report.aligned_text import TextColumn, one_line
from aabench.report.side_by_side import RUN

if TYPE_CHECKING:
    import pandas as pd


DEVICE_NAME = "device_name"
"""The column that says which model of card or processor a case ran on."""


@dataclass(frozen=True, slots=True)
class AxisText:
    """How one axis reads.

    Attributes:
        name: what messages call it.
        columns: the columns of the results that hold its value.
        head: its heading as a column.
        cell: the text of a value in its column; takes the values of ``columns`` as texts.
        phrase: the text of a value within a sentence; empty where it goes without saying.
        right: whether its column is aligned to the right.
    """

    name: str
    columns: tuple[str, ...]
    head: str
    cell: Callable[..., str]
    phrase: Callable[..., str]
    right: bool = False


def _same(value: str) -> str:
    return value


def _named(name: str, unsaid: str | None = None) -> Callable[[str], str]:
    return lambda value: "" if value == unsaid else f"{name} {value}"


def _times(first: str, second: str) -> str:
    return f"{first}x{second}"


def _square(side: str) -> str:
    return f"{side}x{side}"


def _number(name: str, head: str, phrase: Callable[[str], str]) -> AxisText:
    return AxisText(name, (name,), head, _same, phrase, right=True)


def _word(name: str, head: str, phrase: Callable[[str], str] = _same) -> AxisText:
    return AxisText(name, (name,), head, _same, phrase)


AXES: tuple[AxisText, ...] = (
    _word(RUN, "run", _named("run")),
    _word("network", "network"),
    _word("augment", "augmented", _named("augmented at")),
    _word("layer", "layer", lambda kind: "" if kind == "augmented" else f"{kind} attention"),
    AxisText(
        "channels",
        ("in_channels", "out_channels"),
        "channels",
        lambda fan_in, fan_out: f"{fan_in}→{fan_out}",
        lambda fan_in, fan_out: f"{fan_in}→{fan_out} channels",
        right=True,
    ),
    AxisText("kernel_size", ("kernel_size",), "kernel", _square, _square, right=True),
    _number("stride", "stride", _named("stride", unsaid="1")),
    _number("downsample", "downsample", _named("downsample", unsaid="1")),
    _number("heads", "heads", lambda count: f"{count} head" + ("" if count == "1" else "s")),
    _number("kappa", "kappa", _named("kappa")),
    _number("dk", "dk", _named("dk")),
    _number("upsilon", "upsilon", _named("upsilon")),
    _number("dv", "dv", _named("dv")),
    _word("position", "position", lambda name: f"{'no' if name == 'none' else name} positions"),
    AxisText("resolution", ("height", "width"), "input", _times, _times, right=True),
    _number("batch", "batch", _named("batch")),
    _word("mode", "mode"),
    _word("precision", "precision"),
    _word("attention", "attention", lambda name: "no attention" if name == "none" else name),
    _word("compile", "compiled", lambda flag: "compiled" if flag == "on" else ""),
    _word("memory_format", "layout", lambda name: "" if name == "contiguous" else f"{name} layout"),
    _word("optimizer", "optimizer", lambda name: "" if name == "sgd-momentum" else name),
    _word("device", "device", _named("on")),
    _word(DEVICE_NAME, "device", _named("on")),
)
"""The run, where there are several, and all axes in the order of the grid, so that the columns change
slowest on the left."""


def swept_axes(frame: pd.DataFrame) -> list[AxisText]:
    """The axes with more than one value among the rows; rows without a value do not count.

    Cards are told apart by their names: which of several equal cards a case ran on is no axis.
    """
    swept = [axis for axis in AXES if _distinct(frame, axis) > 1]
    are_named = DEVICE_NAME in frame.columns and frame[DEVICE_NAME].notna().any()
    return [axis for axis in swept if axis.name != "device" or not are_named]


def constant_phrases(frame: pd.DataFrame) -> list[str]:
    """What all rows share, in words, axis by axis."""
    constant = [axis for axis in AXES if _distinct(frame, axis) == 1 and axis.name != DEVICE_NAME]
    phrases = []
    for axis in constant:
        values = frame[list(axis.columns)].dropna().iloc[:1]
        phrases.append(_phrase(axis, values, 0))
    return [phrase for phrase in phrases if phrase]


def axis_column(frame: pd.DataFrame, axis: AxisText) -> TextColumn:
    """One axis as a column of text, one cell per row."""
    values = [value_texts(frame[column]) for column in axis.columns]
    cells = [axis.cell(*row) if all(row) else "" for row in zip(*values, strict=True)]
    return TextColumn(axis.name, axis.head, cells, right=axis.right)


def case_phrase(frame: pd.DataFrame, row: int, axes: Sequence[AxisText]) -> str:
    """One row's case in words, as far as these axes say it."""
    phrases = [_phrase(axis, frame, row) for axis in axes]
    return ", ".join(phrase for phrase in phrases if phrase)


def value_texts(values: pd.Series[Any]) -> list[str]:
    """Axis values as they were typed: 8.0 is 8, True is on, and no value is no text."""
    present = values.notna()
    return [
        _value_text(value) if there else "" for value, there in zip(values, present, strict=True)
    ]


def _distinct(frame: pd.DataFrame, axis: AxisText) -> int:
    """How many different values an axis has; 0 where its columns are absent or empty."""
    columns = list(axis.columns)
    if not set(columns) <= set(frame.columns):
        return 0
    count = len(frame[columns].drop_duplicates().dropna())
    if count == 1 and RUN in frame.columns:
        in_each = frame[columns[0]].notna().groupby(frame[RUN]).any()
        return 1 if in_each.all() else 2  # to have no value at all tells a run from the others
    return count


def _phrase(axis: AxisText, frame: pd.DataFrame, row: int) -> str:
    values = [value_texts(frame[column].iloc[row : row + 1])[0] for column in axis.columns]
    return str(axis.phrase(*values)) if all(values) else ""


def _value_text(value: object) -> str:
    if isinstance(value, str):
        return one_line(value)
    if str(value) in ("True", "False"):  # numpy has a bool of its own
        return "on" if value else "off"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
