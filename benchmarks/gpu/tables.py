"""The tables of the summary: peaks by form, forms against each other, whole networks, the time spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.measured import Measured
from benchmarks.gpu.part import PartResult

if TYPE_CHECKING:
    import pandas as pd

SETTING = ["height", "precision", "mode"]
"""What the forms are compared in."""

MATERIALIZED = "materialized"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def time_table(results: Sequence[PartResult]) -> Iterator[str]:
    """Where the time went."""
    rows = [
        [
            result.part.name,
            result.part.purpose,
            result.state.value,
            f"{result.seconds:.0f}",
            f"{result.part.seconds:.0f}",
            result.remark,
        ]
        for result in results
    ]
    return markdown_table(["part", "what", "state", "s", "promised s", ""], rows)


def peak_table(measured: Measured) -> Iterator[str]:
    """Errors of predicted peaks by form and by what stands behind the prediction."""
    rows = measured.measured.dropna(subset=["peak_error"])
    rows = rows.assign(
        reserved=rows["peak_reserved_bytes"].astype("float64") / rows["peak_allocated_bytes"]
    )
    told = []
    for (basis, form), group in rows.groupby(["prediction_basis", "attention"], sort=True):
        told.append(
            [
                str(form),
                str(basis),
                str(len(group)),
                *(_spread(group[name].abs()) for name in ("peak_error", "step_peak_error")),
                _factors(group["reserved"]),
            ]
        )
    heads = ["form", "basis", "rows", "error of the peak: median, 95 %, worst"]
    return markdown_table(
        [*heads, "of the step's peak", "reserved / allocated: median, worst"], told
    )


def speed_table(measured: Measured) -> Iterator[str]:
    """Latency of every form beside `materialized` and beside stock attention without positions."""
    ours = measured.of_part("forms", "flex")
    ours = ours[(ours["attention"] != "none") & ours["status"].notna()]
    times = _times(ours[ours["status"] == "ok"])
    stock = _times(measured.of_part("plain-sdpa").query("status == 'ok' and position == 'none'"))
    rows = []
    for row in ours.drop_duplicates([*SETTING, "attention"]).to_dict("records"):
        setting = tuple(row[name] for name in SETTING)
        time = times.get((*setting, row["attention"]))
        base, bare = times.get((*setting, MATERIALIZED)), stock.get((*setting, "sdpa-bias"))
        figures = ["", "", "", f"{row['status']}: {row['reason'] or ''}"[:90]]
        if time is not None:
            figures = [f"{1e3 * time:.4g}", _ratio(time, base), _ratio(time, bare), _kernel(row)]
        rows.append([*map(str, setting), str(row["attention"]), *figures])
    heads = ["px", "precision", "mode", "form", "ms", "/ materialized", "/ plain SDPA", "kernel"]
    return markdown_table(heads, rows)


def network_table(measured: Measured) -> Iterator[str]:
    """Whole networks: images a second and the peak."""
    rows = [
        [
            f"{row['network']} {row['height']} px B{row['batch']}",
            str(row["attention"]),
            f"{row['mode']} {row['precision']}",
            _number(row["items_per_s"], "{:.0f}"),
            _number(row["latency_median_s"], "{:.4g}", 1e-3),
            _number(row["peak_allocated_bytes"], "{:.2f}", 2**30),
            _number(row["latency_ratio"], "{:.2f}x"),
            _number(row["peak_ratio"], "{:.2f}x"),
            _number(row["energy_per_item_j"], "{:.3g}", 1e-3),
            "" if row["status"] == "ok" else f"{row['status']}: {row['reason'] or ''}"[:90],
        ]
        for row in measured.of_part("networks").drop_duplicates("key").to_dict("records")
    ]
    heads = [
        "network",
        "form",
        "step",
        "images/s",
        "ms",
        "peak GiB",
        "time",
        "peak",
        "mJ/image",
        "",
    ]
    return markdown_table(heads, rows)


def _times(rows: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    names = [*SETTING, "attention", "latency_median_s"]
    return {tuple(values[:-1]): float(values[-1]) for values in rows[names].to_numpy(dtype=object)}


def _kernel(row: dict[Any, Any]) -> str:
    bound = row["launch_bound"]
    return f"{row['kernel'] or ''}{', launch-bound' if bound is True else ''}"


def _ratio(time: float, base: float | None) -> str:
    return "" if base is None else f"{time / base:.3f}x"


def _spread(errors: pd.Series[float]) -> str:
    return f"{errors.median():.2%}, {errors.quantile(0.95):.1%}, {errors.max():.1%}"


def _factors(values: pd.Series[float]) -> str:
    known = values.dropna()
    return f"{known.median():.2f}x, {known.max():.2f}x" if len(known) else ""


def _number(value: Any, shape: str, size: float = 1.0) -> str:
    import pandas as pd

    return "" if pd.isna(value) else shape.format(float(value) / size)
