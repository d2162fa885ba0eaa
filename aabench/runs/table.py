"""The table of a run: its rows merged from plan and records, as a DataFrame in grid order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aabench.cases.case import Layer
from aabench.cases.columns import COLUMN_NAMES, DTYPES
from aabench.cases.network import SETTINGS, Network
from aabench.runs.folder import Record
from aabench.runs.ledger import is_other_kind
from aabench.runs.plan import Plan, PlannedRow

if TYPE_CHECKING:
    import pandas as pd

Figures = dict[str, Any]

PREDICTED_BESIDE = (
    ("predicted_peak_bytes", "peak_allocated_bytes", "peak_error"),
    ("predicted_step_peak_bytes", "step_peak_bytes", "step_peak_error"),
)
"""Predicted and measured columns, and the column of the prediction's relative error."""

NOT_YET = "not measured yet: give the same command again to go on"


def merge_records(records: Iterable[Record]) -> dict[str, Figures]:
    """One set of figures per case from the records of its rounds.

    Later rounds add to earlier ones, so what only the first round read (memory, counts) stays and
    what the last one pooled over all rounds (latency) counts. A failure is the case's status, with
    whatever was measured before it. A case that started over on another kind of device has no figures
    of the first one.
    """
    merged: dict[str, Figures] = {}
    for record in records:
        figures = merged.setdefault(record.key, {"warnings": [], "sample_warnings": []})
        outcome = record.outcome
        if is_other_kind(figures.get("device_name"), record.kind):
            figures = merged[record.key] = {"warnings": [], "sample_warnings": []}
        figures.update(outcome.figures)
        figures["status"], figures["reason"] = outcome.status, outcome.reason
        figures["device"] = outcome.device
        figures["sample_warnings"] = outcome.sample_warnings
        # Rounds that say the same, with other figures, say it once: the last one's words stand.
        said = {_remedy(remark): remark for remark in [*figures["warnings"], *outcome.warnings]}
        figures["warnings"] = list(said.values())
    return merged


def _remedy(remark: str) -> str:
    return remark.partition(" — ")[2] or remark


def table_of(plan: Plan, results: dict[str, Figures]) -> pd.DataFrame:
    """The table: one row per grid entry, every column of the schema, failed rows included."""
    import pandas as pd

    rows = [_row(planned, results) for planned in plan.rows]
    frame = pd.DataFrame.from_records(rows, columns=list(COLUMN_NAMES))
    return typed(frame)


def _row(planned: PlannedRow, results: dict[str, Figures]) -> Figures:
    row = _case_columns(planned)
    if not planned.key:
        row["status"], row["reason"] = "invalid", planned.entry.problem
        return row
    figures = results.get(planned.key)
    if figures is None:
        row["reason"] = NOT_YET
        return row
    row.update(figures)
    row["warnings"] = " | ".join([*figures["warnings"], *figures["sample_warnings"]]) or None
    _compare(row, results.get(planned.plain_key))
    for predicted, measured, error in PREDICTED_BESIDE:
        if row.get(measured) and row.get(predicted) is not None:
            row[error] = row[predicted] / row[measured] - 1
    return row


def _case_columns(planned: PlannedRow) -> Figures:
    case, entry = planned.case, planned.entry
    subject = case.subject
    return {
        "notes": " | ".join(planned.notes) or None,
        **(_layer_columns(subject) if isinstance(subject, Layer) else _network_columns(subject)),
        "kappa": None if entry.kappa is None else float(entry.kappa),
        "upsilon": None if entry.upsilon is None else float(entry.upsilon),
        "batch": case.batch,
        "mode": case.mode,
        "precision": case.precision,
        "attention": case.attention,
        "compile": case.compile,
        "memory_format": case.memory_format,
        "optimizer": case.optimizer,
        "key": planned.key or None,
    }


def _network_columns(network: Network) -> Figures:
    """What was changed of a network; its own settings are empty."""
    names = ("augment", "height", "width", *SETTINGS)
    return {"network": network.name, **{name: getattr(network, name) for name in names}}


def _layer_columns(layer: Layer) -> Figures:
    return {
        "layer": layer.kind,
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "downsample": layer.downsample,
        "heads": layer.heads,
        "dk": layer.dk,
        "dv": layer.dv,
        "position": layer.position,
        "height": layer.height,
        "width": layer.width,
        "tokens": layer.tokens,
    }


def _compare(row: Figures, plain: Figures | None) -> None:
    """Set a layer beside the convolution it replaces, a network beside the one without attention."""
    if plain is None:
        return
    for column, ratio in (
        ("latency_median_s", "latency_ratio"),
        ("peak_allocated_bytes", "peak_ratio"),
        ("flops", "flops_ratio"),
    ):
        theirs = row["conv_" + column] = plain.get(column)
        ours = row.get(column)
        if ours is not None and theirs:
            row[ratio] = ours / theirs
    if row.get("latency_ratio") and plain["sample_warnings"]:
        doubts = "; ".join(remark.partition(" — ")[0] for remark in plain["sample_warnings"])
        _warn(row, f"what it is compared with: {doubts} — doubt the ratio of times")
    if row["device"] != plain["device"]:
        _warn(
            row,
            f"what it is compared with ran on {plain['device']} — --again compares on one device",
        )


def _warn(row: Figures, remark: str) -> None:
    row["warnings"] = " | ".join(filter(None, [row["warnings"], remark]))


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the schema's types.

    Whole numbers stay whole where some rows have none, and text that is not there is None.
    """
    known = {name: kind for name, kind in DTYPES.items() if name in frame.columns}
    frame = frame.astype(known)
    for name, kind in known.items():
        if kind == "object":
            frame[name] = frame[name].where(frame[name].notna(), None)
    return frame


def planned_table(plan: Plan) -> pd.DataFrame:
    """The table of a plan that was not run: cases and reasons, no figures."""
    frame = table_of(plan, {})
    waiting = frame["status"].isna()
    frame.loc[waiting, "reason"] = None
    return frame
