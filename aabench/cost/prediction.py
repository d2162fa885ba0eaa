"""Prediction of a grid of layers: a table with one row per case, in columns, nothing run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aabench.cases.grid import SINGLE_PIXEL, Grid, sees_single_pixel
from aabench.cost.columns import LABELS, LAYER_SIZES, Column, Labels
from aabench.cost.distinct import distinct
from aabench.cost.grid_columns import GridColumns
from aabench.cost.layers import UNKNOWN, predict_layers
from aabench.cost.rounding import parts_of
from aabench.cost.sentences import SEPARATOR, Sentences
from aabench.cost.target import Target

if TYPE_CHECKING:
    import pandas as pd

COUNTS = ("params", "macs", "flops", "flops_forward")
"""The counts of a row, as ``predict_layers`` names them."""

MEMORY = (
    "saved_bytes",
    "predicted_base_bytes",
    "predicted_step_peak_bytes",
    "predicted_peak_bytes",
    "predicted_peak_low_bytes",
    "predicted_peak_high_bytes",
    "maps_at_peak",
)
"""What it says of memory; missing where torch.compile wraps the layer, as is all that follows."""

LATENCY = ("predicted_latency_s", "predicted_latency_low_s", "predicted_latency_high_s")
"""What the bands say of time, where the ceilings of the device are known."""

LABELLED = ("bound", "prediction_basis")
"""What they say in words."""

COMPILED_NOTE = "memory and time are not predicted for what torch.compile makes of a layer"

NO_CLOSED_FORM = (
    "this attention form or position encoding has no closed form on this device: measure the case"
)


def predict_grid(grid: Grid, target: Target | None = None) -> pd.DataFrame:
    """What every case of a grid of augmented convolutions costs, predicted without running any.

    Args:
        grid: of layers of the kind ``augmented``.
        target: the device; by default a CPU with as many threads as torch would use here.

    Returns:
        One row per case in grid order, impossible ones included (``status`` is ``invalid`` and
        ``reason`` says why), with the columns of ``aabench list columns`` that can be known. Bytes
        and counts are whole numbers, missing where unknown; so is all memory of compiled layers.

    Raises:
        UsageError: a case whose sizes 64 bits do not hold.

    """
    import pandas as pd

    target = target or Target()
    entries, choices = GridColumns.of(
        grid, target.device_type, target.threads, target.capability
    ).resolved()
    possible = np.flatnonzero(entries.possible)
    everything = len(possible) == len(entries.layers)
    layers = entries.layers if everything else entries.layers.take(possible)
    figures = predict_layers(layers, ceilings=target.bands.ceilings)
    known = figures["predicted_peak_bytes"] != UNKNOWN
    reasons = Sentences(len(entries.layers))
    for sentence, rows in _problems(entries):
        reasons.add(rows, sentence)
    reasons.add(possible[~known], NO_CLOSED_FORM)
    columns: dict[str, Any] = {
        "status": _categories(Labels(entries.possible.astype(np.int16), ("invalid", "predicted"))),
        "reason": reasons.column(),
        "notes": _notes(entries, choices).column(),
        **_case_columns(entries, target.label),
    }
    banded = {**figures, **target.bands.apply(figures, layers)}
    compiled = entries.compiled[possible]
    for name in (*COUNTS, *(name for name in (*MEMORY, *LATENCY) if name in banded)):
        values = banded[name]
        if name not in COUNTS and compiled.any():
            values = np.where(compiled, UNKNOWN, values)
        columns[name] = _figure(values, possible, len(entries.layers))
    for name in (name for name in LABELLED if name in banded):
        columns[name] = _names(banded[name], compiled, possible, len(entries.layers))
    return pd.DataFrame(columns, copy=False)


def _case_columns(entries: GridColumns, device: str) -> dict[str, Any]:
    """The columns that say which case a row is."""
    layers = entries.layers
    columns: dict[str, Any] = {name: getattr(layers, name) for name in LAYER_SIZES[:8]}
    for name in ("kappa", "upsilon"):
        ratios = entries.ratios(name)
        columns[name] = np.full(len(layers), np.nan) if ratios is None else ratios
    step = layers.stride * layers.downsample
    tokens = parts_of(layers.height, step) * parts_of(layers.width, step)
    columns |= {
        "position": _categories(layers.position),
        "height": layers.height,
        "width": layers.width,
        "tokens": tokens,
        "batch": layers.batch,
        **{name: _categories(getattr(layers, name)) for name in LABELS[1:4]},
        "compile": entries.compiled,
        "memory_format": _categories(layers.memory_format),
        "optimizer": _categories(layers.optimizer, layers.mode.equal("train")),
        "device": _categories(Labels(np.zeros(len(layers), np.int16), (device,))),
    }
    return columns


def _problems(entries: GridColumns) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Every sentence on why layers are impossible, with the rows that it is on."""
    rows = np.flatnonzero(~entries.possible)
    if not len(rows):
        return
    deciding = ("kernel_size", "out_channels", "heads", "dk", "dv")
    first, kind = distinct([getattr(entries.layers, name)[rows] for name in deciding])
    for number, row in enumerate(rows[first]):
        (entry,) = entries.point(int(row)).entries()
        assert entry.problem is not None
        yield entry.problem, rows[kind == number]


def _notes(entries: GridColumns, choices: dict[str, NDArray[np.int64]]) -> Sentences:
    """What was rounded, raised, resolved or left out, by row."""
    notes = Sentences(len(entries.layers))
    rows = np.flatnonzero(entries.was_rounded)
    if len(rows):
        first, kind = distinct(codes[rows] for codes in entries.depth_axes())
        for number, row in enumerate(rows[first]):
            (entry,) = entries.point(int(row)).entries()
            of_depths = [note for note in entry.notes if note != SINGLE_PIXEL]
            notes.add(rows[kind == number], SEPARATOR.join(of_depths))
    layers = entries.layers
    notes.add(np.flatnonzero(sees_single_pixel(layers) & (layers.dv > 0)), SINGLE_PIXEL)
    for sentence, chosen in choices.items():
        notes.add(chosen, sentence)
    notes.add(np.flatnonzero(entries.compiled), COMPILED_NOTE)
    return notes


def _figure(values: Column, rows: NDArray[np.int64], length: int) -> Any:
    """The figures of some rows, missing elsewhere and where they are not known."""
    import pandas as pd

    missing = values == UNKNOWN
    if len(rows) == length and not missing.any():
        return values
    spread = np.zeros(length, values.dtype)
    mask = np.ones(length, np.bool_)
    spread[rows], mask[rows] = values, missing
    if spread.dtype == np.float64:
        return np.where(mask, np.nan, spread)
    return pd.arrays.IntegerArray(spread, mask)


def _names(
    labels: Labels, compiled: NDArray[np.bool_], rows: NDArray[np.int64], length: int
) -> pd.Categorical[str]:
    """Names that some rows have, missing elsewhere, where they are empty, and of compiled layers."""
    missing = compiled | labels.equal("")
    spread = np.full(length, -1, np.int16)
    spread[rows] = np.where(missing, np.int16(-1), labels.codes)
    return _categories(Labels(spread, labels.names))


def _categories(labels: Labels, where: NDArray[np.bool_] | None = None) -> pd.Categorical[str]:
    """A column of names; missing where they do not count."""
    import pandas as pd

    codes = labels.codes if where is None else np.where(where, labels.codes, np.int16(-1))
    return pd.Categorical.from_codes(codes, categories=pd.Index(labels.names, dtype="str"))
