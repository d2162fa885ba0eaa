"""The frames: what a fit found as tables of plain values, in bytes and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aabench.cost.bands import Band
from aabench.fitting.forms import FormVerdict
from aabench.fitting.layer_sets import LayerSets, LayerVerdict
from aabench.fitting.maximum import Maximum
from aabench.fitting.remedies import MEANINGS, Remedy
from aabench.fitting.verdict import Judgement

if TYPE_CHECKING:
    import pandas as pd

JUDGED = (
    "verdict",
    "predicted_peak_bytes",
    "needed_low_bytes",
    "needed_high_bytes",
    "left_bytes",
    "short_bytes",
)
"""What every judgement has. ``left``: of the budget, beside the most that may be needed and the margin;
``short``: by how much the least that is needed exceeds the budget. Negative where it does not apply."""

TIMED = (
    "predicted_latency_s",
    "predicted_latency_low_s",
    "predicted_latency_high_s",
)
"""Seconds of one step of the whole batch; missing where nothing is known of how fast the device is."""

LAYER_COLUMNS = (
    "layer",
    "stage",
    "layers",
    "attention",
    "heads",
    "dk",
    "dv",
    "attention_height",
    "attention_width",
    "bytes_at_peak",
    "share_of_peak",
    "alone",
    "alone_left_bytes",
    "alone_short_bytes",
    "with_deeper",
    "with_deeper_left_bytes",
    "with_deeper_short_bytes",
    "in_set_from_last",
    "in_best_set",
)
FORM_COLUMNS = ("attention", *JUDGED, *TIMED, "flops", "last_layers_that_fit", "reason")
REMEDY_COLUMNS = (
    "kind",
    "change",
    *JUDGED,
    *TIMED,
    "time_ratio",
    "flops_ratio",
    "changes_mathematics",
    "note",
)
MAXIMUM_COLUMNS = (
    "axis",
    "attention",
    "largest",
    *JUDGED,
    "beyond",
    "beyond_verdict",
    "beyond_short_bytes",
    "why_not",
)


def layers_frame(
    layers: Sequence[LayerVerdict], sets: LayerSets | None, attention: str, peak_bytes: int
) -> pd.DataFrame:
    """One row per layer or stage; a stage is in a set where any of its layers is."""
    return _frame([_layer(each, sets, attention, peak_bytes) for each in layers], LAYER_COLUMNS)


def forms_frame(forms: Sequence[FormVerdict], last_layers: Mapping[str, int]) -> pd.DataFrame:
    """One row per attention form."""
    rows = [
        {
            "attention": form.attention,
            **(judged(form.judgement) if form.judgement else {"verdict": "cannot run"}),
            **_timed(form.latency),
            "flops": form.flops or None,
            "last_layers_that_fit": last_layers.get(form.attention),
            "reason": form.problem,
        }
        for form in forms
    ]
    return _frame(rows, FORM_COLUMNS)


def remedies_frame(remedies: Sequence[Remedy]) -> pd.DataFrame:
    """One row per remedy."""
    rows = [
        {
            "kind": remedy.kind,
            "change": remedy.change,
            **judged(remedy.judgement),
            **_timed(remedy.latency),
            "time_ratio": remedy.time_ratio,
            "flops_ratio": remedy.flops_ratio,
            "changes_mathematics": MEANINGS[remedy.mathematics],
            "note": remedy.note,
        }
        for remedy in remedies
    ]
    return _frame(rows, REMEDY_COLUMNS)


def maxima_frame(maxima: Sequence[Maximum]) -> pd.DataFrame:
    """One row per attention form."""
    return _frame([_maximum(each) for each in maxima], MAXIMUM_COLUMNS)


def _layer(
    found: LayerVerdict, sets: LayerSets | None, attention: str, peak_bytes: int
) -> dict[str, Any]:
    layer = found.layer
    height, width = layer.attention_resolution
    from_last, best = (sets.from_last, sets.best_use) if sets is not None else ((), ())

    def holds(names: Sequence[str]) -> bool:
        return any(name == found.name or name.startswith(found.name + ".") for name in names)

    return {
        "layer": found.name,
        "stage": found.stage,
        "layers": found.count,
        "attention": attention,
        "heads": layer.heads,
        "dk": layer.dk,
        "dv": layer.dv,
        "attention_height": height,
        "attention_width": width,
        "bytes_at_peak": found.bytes_at_peak,
        "share_of_peak": found.bytes_at_peak / peak_bytes,
        "alone": found.alone.verdict.value,
        "alone_left_bytes": found.alone.left_bytes,
        "alone_short_bytes": found.alone.short_bytes,
        "with_deeper": found.with_deeper.verdict.value,
        "with_deeper_left_bytes": found.with_deeper.left_bytes,
        "with_deeper_short_bytes": found.with_deeper.short_bytes,
        "in_set_from_last": holds(from_last),
        "in_best_set": holds(best),
    }


def _maximum(found: Maximum) -> dict[str, Any]:
    beyond = found.beyond_judgement
    return {
        "axis": found.axis,
        "attention": found.attention,
        "largest": found.best.value if found.best else None,
        **(judged(found.judgement) if found.judgement else {}),
        "beyond": found.beyond.value if found.beyond else None,
        "beyond_verdict": beyond.verdict.value if beyond else None,
        "beyond_short_bytes": beyond.short_bytes if beyond else None,
        "why_not": found.why_not,
    }


def _timed(latency: Band | None) -> dict[str, float]:
    """A latency by the columns of ``TIMED``."""
    if latency is None:
        return {}
    return dict(zip(TIMED, (latency.mid, latency.low, latency.high), strict=True))


def judged(judgement: Judgement) -> dict[str, Any]:
    """A judgement by the columns of ``JUDGED``."""
    return {
        "verdict": judgement.verdict.value,
        "predicted_peak_bytes": judgement.need.peak_bytes,
        "needed_low_bytes": judgement.need.low_bytes,
        "needed_high_bytes": judgement.needed_bytes,
        "left_bytes": judgement.left_bytes,
        "short_bytes": judgement.short_bytes,
    }


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """The rows as a frame; whole numbers stay whole where some are missing."""
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=list(columns))
    whole = [name for name in columns if name.endswith("_bytes")]
    whole += [name for name in ("flops", "last_layers_that_fit") if name in columns]
    seconds = [name for name in (*TIMED, "time_ratio") if name in columns]
    return frame.astype({**dict.fromkeys(whole, "Int64"), **dict.fromkeys(seconds, "float64")})
