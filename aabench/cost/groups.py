"""Groups: rows whose step runs alike, so that one telling of it serves them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import LABELS, LayerColumns
from aabench.cost.distinct import distinct
from aabench.cost.execution import Execution

ROWS_AT_A_TIME = 1 << 15
"""Rows told together: their columns stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all rows of a group share.

    Attributes:
        attention: the form; None in a plain convolution.
        position: the position encoding.
        mode: ``infer``, ``forward-backward`` or ``train``.
        optimizer: its name; it counts in ``train`` only.
        has_convolution: whether some output channels are convolved.
        is_strided: whether the stride is above 1.
        pools: whether the attention's input is pooled.
        upsamples: whether the attention's output is coarser than the convolution's.
        is_single_image: whether the batch is 1.
        is_single_head: whether there is one head.
        has_scalar_keys: whether keys have one channel a head.
        has_scalar_values: whether values have one channel a head.
        execution: where and in which numbers.

    """

    attention: str | None
    position: str
    mode: str
    optimizer: str
    has_convolution: bool
    is_strided: bool
    pools: bool
    upsamples: bool
    is_single_image: bool
    is_single_head: bool
    has_scalar_keys: bool
    has_scalar_values: bool
    execution: Execution

    @property
    def trains(self) -> bool:
        """Whether a backward pass follows the forward pass."""
        return self.mode != "infer"


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some rows that share a setting.

    Attributes:
        setting: what they share.
        rows: their places among all rows.
        layers: their columns.

    """

    setting: Setting
    rows: NDArray[np.int64]
    layers: LayerColumns


def groups_of(layers: LayerColumns) -> Iterator[Group]:
    """All rows, as groups of at most ``ROWS_AT_A_TIME``."""
    if not len(layers):
        return
    flags = _flags(layers)
    labels = [getattr(layers, name) for name in LABELS]
    first, group_of_row = distinct([*(label.codes for label in labels), *flags.values()])
    order = np.argsort(group_of_row, kind="stable")
    ends = np.cumsum(np.bincount(group_of_row, minlength=len(first)))
    for representative, rows in zip(first, np.split(order, ends[:-1]), strict=True):
        setting = _setting(layers, flags, int(representative))
        for start in range(0, len(rows), ROWS_AT_A_TIME):
            some = rows[start : start + ROWS_AT_A_TIME]
            yield Group(setting, some, layers.take(some))


def _flags(layers: LayerColumns) -> dict[str, NDArray[np.bool_]]:
    attends = layers.dv > 0
    return {
        "attends": attends,
        "has_convolution": layers.dv < layers.out_channels,
        "is_strided": layers.stride > 1,
        "pools": attends & (layers.stride * layers.downsample > 1),
        "upsamples": attends & (layers.downsample > 1),
        "is_single_image": layers.batch == 1,
        "is_single_head": attends & (layers.heads == 1),
        "has_scalar_keys": attends & (layers.dk == layers.heads),
        "has_scalar_values": attends & (layers.dv == layers.heads),
    }


def _setting(layers: LayerColumns, flags: dict[str, NDArray[np.bool_]], row: int) -> Setting:
    values = {name: bool(column[row]) for name, column in flags.items()}
    attends = values.pop("attends")
    return Setting(
        attention=layers.attention.at(row) if attends else None,
        position=layers.position.at(row),
        mode=layers.mode.at(row),
        optimizer=layers.optimizer.at(row),
        execution=Execution(
            device_type=layers.device_type,
            precision=layers.precision.at(row),
            channels_last=layers.memory_format.at(row) == "channels-last",
            threads=layers.threads,
            capability=layers.capability,
        ),
        **values,
    )
