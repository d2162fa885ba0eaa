"""The answer of ``aabench fit``: first the verdict, by how much, and the least change that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from aabench.report.aligned_text import (
    WIDEST_PROSE,
    AlignedTable,
    TextColumn,
    fitted,
    prose,
    unwrapped,
)
from aabench.report.quantities import (
    EMPTY,
    bytes_text,
    flops_text,
    is_missing,
    ratio_text,
    seconds_text,
    share_text,
)

if TYPE_CHECKING:
    import pandas as pd

STYLES = {
    "fits": "green",
    "does not fit": "red",
    "too close to tell": "yellow",
    "cannot run": "dim",
}
"""The verdicts, each with its rich style."""

EXPENDABLE = ("FLOPs", "at least", "at most", "ratio", "dv", "dk", "note", "alone left", "at peak")
"""Columns that a narrow terminal goes without, the least important first."""

ANOTHER_FORM = "another form"
"""The kind of those changes that compute the same attention in another way."""

MOST_LAYERS = 24
"""Networks with more layers are shown by stage only; ``--format csv`` has every layer."""

LEGEND = (
    "All figures are predicted, none measured. at least, at most: bytes of the whole process, on a card "
    "with its context and what the allocator keeps; a verdict of fits leaves 3 % beside them, on a card "
    "at least 256 MiB, and left is what then remains. Beyond 'at least' it does not fit; between the two "
    "nobody can tell without trying. time: a roofline of the step; of a change, for each image against the "
    "step that was asked for."
)


@dataclass(frozen=True, slots=True)
class FitReport:
    """What ``aabench fit`` found, as tables; their columns are those of ``aabench.fitting.frames``.

    Attributes:
        network: its name.
        case: batch, mode and so on, in words.
        where: the card or device.
        usable_bytes: the budget.
        budget: where that is from, in words.
        verdict: on the fully augmented network.
        attention: the form that layers and remedies are told of.
        asked_form: whether only this form was asked for.
        plain_name: the network without attention.
        plain: its row, with the columns that every judgement has.
        forms: one row per attention form.
        stages: one row per stage.
        layers: one row per layer.
        remedies: one row per change; what fits and changes least first.
        maxima: one row per form, where a setting was maximized.
        basis: what stands behind the predictions.
        lines: Python that builds what fits; empty where nothing does.
        notes: what else there is to say.
    """

    network: str
    case: str
    where: str
    usable_bytes: int
    budget: str
    verdict: str
    attention: str
    asked_form: bool
    plain_name: str
    plain: dict[str, Any]
    forms: pd.DataFrame
    stages: pd.DataFrame
    layers: pd.DataFrame
    remedies: pd.DataFrame
    maxima: pd.DataFrame
    basis: str
    lines: str
    notes: Sequence[str] = ()


def fit_report(report: FitReport, *, width: int) -> RenderableType:
    """Render an answer for so many terminal cells; its first three lines say all that matters."""
    return Group(*_pieces(report, width))


def headline(report: FitReport) -> tuple[str, str, str]:
    """The verdict, by how much, and the least change that fits, as three sentences."""
    return _verdict_line(report), _amount_line(report), _remedy_line(report)


@dataclass(frozen=True, slots=True)
class FitTable:
    """One table of an answer.

    Attributes:
        title: its heading.
        columns: from left to right; some may be empty throughout.
        remarks: by row, why it has no figures.
    """

    title: str
    columns: Sequence[TextColumn]
    remarks: Mapping[int, str] = field(default_factory=dict)


def fit_tables(report: FitReport, *, every_layer: bool = False) -> Iterator[FitTable]:
    """The tables of an answer in their order; the layers of a large network by stage unless asked."""
    if len(report.maxima):
        title = f"Largest {report.maxima['axis'].iloc[0]} that fits"
        yield FitTable(title, _maximum_columns(report.maxima))
    title = f"Attention forms{_all_layers(report)}"
    yield FitTable(title, _form_columns(report), _refusals(report.forms))
    if len(report.layers) and not len(report.maxima):
        is_whole = every_layer or len(report.layers) <= MOST_LAYERS
        rows, what = (report.layers, "Layers") if is_whole else (report.stages, "Stages")
        yield FitTable(_judged_title(what, report), _layer_columns(rows))
    if len(report.remedies):
        yield FitTable(_remedies_title(report), _remedy_columns(report.remedies))


def _judged_title(what: str, report: FitReport) -> str:
    """Which form the verdicts on layers are about, above all where the least change names another."""
    title = f"{what} with {report.attention}"
    least = _least_change(report)
    if least is None or least.kind != ANOTHER_FORM:
        return title
    return f"{title} (the least change takes another form: {least.change})"


def _remedies_title(report: FitReport) -> str:
    """Of what the changes are, and why some kinds of them are not among them."""
    title = f"What could be changed of {report.attention}"
    verdict = report.plain["verdict"]
    if verdict == "fits" or not len(report.layers):
        return title
    is_close = verdict != "does not fit"
    without = f"is {verdict}" if is_close else verdict
    return f"{title} (even without attention it {without})"


def _least_change(report: FitReport) -> Any | None:
    """The change that fits and changes least; None where none fits."""
    return next((row for row in _rows(report.remedies) if row.verdict == "fits"), None)


def _pieces(report: FitReport, width: int) -> Iterator[RenderableType]:
    style = f"bold {STYLES[report.verdict]}"
    for line, each in zip(headline(report), (style, "", "bold"), strict=True):
        yield from prose(line, width, style=each)
    yield from prose(circumstances(report), width, style="dim")
    for note in report.notes:
        yield from prose(f"note: {note}", width)
    for table in fit_tables(report):
        yield from _section(table.title, width)
        yield from _table(table.columns, width, table.remarks)
    if report.lines and not len(report.maxima):
        yield from _section("To train what fits" if "train" in report.case else "To run it", width)
        yield from (unwrapped(Text(line)) for line in report.lines.splitlines())
    yield Text()
    yield from prose(f"{LEGEND} Basis: {report.basis}.", width, style="dim")


def _section(title: str, width: int) -> Iterator[RenderableType]:
    yield Text()
    yield from prose(title, width, style="bold")


def _table(
    columns: Sequence[TextColumn], width: int, remarks: Mapping[int, str]
) -> Iterator[RenderableType]:
    kept, dropped = fitted([each for each in columns if any(each.cells)], width, EXPENDABLE)
    yield AlignedTable(kept, width, remarks, remark_from=2)
    if dropped:
        names = ", ".join(column.name for column in dropped)
        yield from prose(
            f"not shown at this width: {names}; --format json has them", width, style="dim"
        )


def _verdict_line(report: FitReport) -> str:
    """Such as ``FITS with factored and blocked, not with materialized``."""
    if len(report.maxima):
        return _maximum_line(report)
    names = _by_verdict(report)
    apart = [name for each in list(STYLES)[1:3] for name in names[each]]
    if report.verdict == "fits" and apart:
        return f"FITS{_with(report, names['fits'])}, not with {_listed(apart)}"
    return f"{report.verdict.upper()}{_with(report, names[report.verdict])}"


def _maximum_line(report: FitReport) -> str:
    """Such as ``LARGEST BATCH THAT FITS: 41 with materialized; 260 with blocked``."""
    axis = report.maxima["axis"].iloc[0]
    forms: dict[str, list[str]] = {}
    for row in _rows(report.maxima):
        if _text(row.largest):
            forms.setdefault(row.largest, []).append(row.attention)
    if not forms:
        return f"NO {axis.upper()} FITS"
    found = [f"{value} with {_listed(names)}" for value, names in forms.items()]
    return f"LARGEST {axis.upper()} THAT FITS: {'; '.join(found)}"


def _with(report: FitReport, names: Sequence[str]) -> str:
    """The forms of a verdict; nothing where attention has no forms."""
    return f" with {_listed(names)}" if names and len(report.layers) else ""


def _by_verdict(report: FitReport) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in STYLES}
    for row in _rows(report.forms):
        found[row.verdict].append(row.attention)
    return found


def _amount_line(report: FitReport) -> str:
    """By how much: of the form that the layers are told of, and of the best other."""
    if len(report.maxima):
        best = min(_rows(report.maxima), key=lambda row: (row.verdict != "fits", -row.left_bytes))
        return f"There {_amount(best, report)} of {bytes_text(report.usable_bytes)}"
    rows = {row.attention: row for row in _rows(report.forms)}
    parts = [_amount(rows[report.attention], report)]
    others = [row for row in rows.values() if row.verdict == "fits"]
    if rows[report.attention].verdict != "fits" and others:
        best = _amount(min(others, key=lambda row: int(row.needed_high_bytes)), report)
        parts.append(best.replace(" takes ", " ", 1))
    return "; ".join(parts)


def _amount(row: Any, report: FitReport) -> str:
    """What a form takes: at the most, unless even the least is too much."""
    name = row.attention if len(report.layers) else report.network
    if row.verdict == "does not fit":
        least = bytes_text(row.needed_low_bytes)
        return f"{name} takes {least} at least, {bytes_text(row.short_bytes)} too much"
    most = f"{name} takes {bytes_text(row.needed_high_bytes)} at most"
    if row.verdict == "fits":
        return f"{most}, {bytes_text(row.left_bytes)} left"
    least = bytes_text(row.needed_low_bytes)
    return f"{name} takes {least} to {bytes_text(row.needed_high_bytes)}, perhaps too much"


def _remedy_line(report: FitReport) -> str:
    plain = report.plain
    if len(report.maxima):
        return "One step beyond, each does not fit or is too close to tell, as the table says"
    if plain["verdict"] != "fits" and not (report.remedies["verdict"] == "fits").any():
        need = bytes_text(plain["needed_high_bytes"])
        return (
            f"The plain {report.plain_name} alone needs up to {need}: "
            f"{plain['verdict']} without any attention"
        )
    best = _least_change(report)
    if best is not None:
        line = (
            f"Least change that fits: {best.change} (changes the mathematics: "
            f"{best.changes_mathematics}; {_cost_text(best)})"
        )
        with_note = f"{line}; {best.note}"
        return with_note if best.note and len(with_note) <= WIDEST_PROSE else line
    if len(report.remedies):
        return "No single change that was tried fits; the table below says how far each is off"
    return "Nothing needs to be changed"


def _cost_text(remedy: Any) -> str:
    """Such as ``time 0.62x, FLOPs 1.04x``."""
    flops = f"FLOPs {ratio_text(remedy.flops_ratio)}"
    time = _number(remedy.time_ratio)
    return flops if time is None else f"time {ratio_text(time)}, {flops}"


def circumstances(report: FitReport) -> str:
    """What was judged, the budget, and the plain network beside it."""
    plain = report.plain
    return (
        f"{report.network}, {report.case}, on {report.where}. "
        f"Budget: {bytes_text(report.usable_bytes)}, {report.budget}. "
        f"The plain {report.plain_name}: {bytes_text(plain['predicted_peak_bytes'])} at its peak, "
        f"{plain['verdict']}."
    )


def _all_layers(report: FitReport) -> str:
    count = len(report.layers)
    return f", all {count} layers augmented" if count > 1 else ""


def _form_columns(report: FitReport) -> list[TextColumn]:
    frame, total = report.forms, len(report.layers)
    rows = list(_rows(frame))
    return [
        TextColumn("form", "form", [row.attention for row in rows]),
        *_judged_columns(rows),
        TextColumn(
            "last layers",
            "last layers that fit",
            [_of_total(row.last_layers_that_fit, total) for row in rows],
            right=True,
        ),
        TextColumn(
            "time",
            "time of the step",
            [seconds_text(_number(row.predicted_latency_s), empty="") for row in rows],
            right=True,
        ),
        TextColumn(
            "FLOPs",
            "FLOPs of the step",
            [flops_text(_number(row.flops)) for row in rows],
            right=True,
        ),
    ]


def _refusals(forms: pd.DataFrame) -> dict[int, str]:
    """Why forms cannot run, in the place of their figures."""
    return {
        place: row.reason for place, row in enumerate(_rows(forms)) if row.verdict == "cannot run"
    }


def _judged_columns(rows: Sequence[Any]) -> list[TextColumn]:
    """Verdict, peak, needs, and what is left or missing."""
    styles = [STYLES[row.verdict] for row in rows]
    return [
        TextColumn("verdict", "verdict", [row.verdict for row in rows], styles=styles),
        _amounts("peak", [row.predicted_peak_bytes for row in rows]),
        _amounts("at least", [row.needed_low_bytes for row in rows]),
        _amounts("at most", [row.needed_high_bytes for row in rows]),
        TextColumn("left", "left", [_left(row) for row in rows], right=True, styles=styles),
    ]


def _left(row: Any) -> str:
    """Of a row that has the columns of every judgement."""
    if row.verdict not in STYLES or row.verdict == "cannot run":
        return EMPTY
    return _left_text(row.verdict, row.left_bytes, row.short_bytes)


def _left_text(verdict: str, left: int, short: int) -> str:
    """What remains in the worst case; what is missing in the best case of what does not fit."""
    if verdict == "fits":
        return bytes_text(left)
    if verdict == "does not fit":
        return f"-{bytes_text(short)}"
    return f"-{bytes_text(-left)}?"


def _layer_columns(frame: pd.DataFrame) -> list[TextColumn]:
    rows = list(_rows(frame))

    def verdicts(name: str, head: str) -> list[TextColumn]:
        texts = [getattr(row, name) for row in rows]
        styles = [STYLES[text] for text in texts]
        lefts = [
            _left_text(*(getattr(row, name + end) for end in ("", "_left_bytes", "_short_bytes")))
            for row in rows
        ]
        return [
            TextColumn(name, "verdict", texts, styles=styles, group=head),
            TextColumn(f"{name} left", "left", lefts, right=True, group=head),
        ]

    maps = [f"{row.attention_height}x{row.attention_width}" for row in rows]
    return [
        TextColumn("layer", "layer", [row.layer for row in rows]),
        TextColumn("map", "map", maps, right=True),
        TextColumn("heads", "Nh", [str(row.heads) for row in rows], right=True),
        TextColumn("dk", "dk", [str(row.dk) for row in rows], right=True),
        TextColumn("dv", "dv", [str(row.dv) for row in rows], right=True),
        _amounts("at peak", [row.bytes_at_peak for row in rows]),
        TextColumn("share", "share", [share_text(row.share_of_peak) for row in rows], right=True),
        *verdicts("alone", "augmented alone"),
        *verdicts("with_deeper", "with all deeper ones"),
        TextColumn("best", "best set", ["yes" if row.in_best_set else "" for row in rows]),
    ]


def _remedy_columns(frame: pd.DataFrame) -> list[TextColumn]:
    rows = list(_rows(frame))
    return [
        TextColumn("change", "change", [row.change for row in rows]),
        *_judged_columns(rows),
        TextColumn(
            "time",
            "time",
            [ratio_text(_number(row.time_ratio), empty="") for row in rows],
            right=True,
        ),
        TextColumn("ratio", "FLOPs", [ratio_text(row.flops_ratio) for row in rows], right=True),
        TextColumn("mathematics", "other mathematics", [row.changes_mathematics for row in rows]),
        TextColumn("note", "note", [row.note for row in rows]),
    ]


def _maximum_columns(frame: pd.DataFrame) -> list[TextColumn]:
    rows = list(_rows(frame))
    return [
        TextColumn("form", "form", [row.attention for row in rows]),
        TextColumn(
            "largest", "largest", [_text(row.largest) or "none" for row in rows], right=True
        ),
        *_judged_columns(rows),
        TextColumn("beyond", "next", [_text(row.beyond) or EMPTY for row in rows], right=True),
        TextColumn("then", "then", [_text(row.beyond_verdict) or row.why_not for row in rows]),
    ]


def _amounts(name: str, values: Sequence[Any]) -> TextColumn:
    return TextColumn(name, name, [bytes_text(_number(each)) for each in values], right=True)


def _of_total(value: Any, total: int) -> str:
    number = _number(value)
    return "" if number is None or not total else f"{int(number)} of {total}"


def _number(value: Any) -> float | None:
    """A figure of a frame; None where there is none, which pandas has several words for."""
    return None if _is_missing(value) else float(value)


def _text(value: Any) -> str:
    return "" if _is_missing(value) else str(value)


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return value is pd.NA or (isinstance(value, float | None) and is_missing(value))


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _rows(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples."""
    rows: Callable[..., Iterator[Any]] = frame.itertuples
    yield from rows(index=False, name="Row")
