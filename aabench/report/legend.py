"""The legend: what the figures of a table mean, as far as they are there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from aabench.report.aligned_text import TextColumn, one_line
from aabench.report.doubtful_times import MEANING, doubtful_ratios
from aabench.report.figure_columns import COMPARISON, PREDICTED, figures
from aabench.report.quantities import bytes_text
from aabench.report.results import Results

WORKSPACES = "cuBLAS keeps to work in on a card, whatever the case"
"""What the library workspaces in a predicted peak are."""

FEWEST_FOR_INTERVAL = 6
"""Samples that a 95 % confidence interval of the median needs: 2 / 2^6 is the first below 5 %."""


def figure_legend(
    columns: Sequence[TextColumn], results: Results, *, covered: Collection[int] = ()
) -> str:
    """How to read the figures, in clauses with semicolons between them; empty if there are none.

    Args:
        columns: what is shown of the results.
        results: the rows.
        covered: positions of rows whose figures a remark covers.
    """
    import numpy as np

    shown = {column.name: column for column in columns}
    meanings = _time_meanings(shown)
    if "hours" in shown:
        meanings.append("hours: for the epochs that were asked about")
    peaks = shown["peak"].cells if "peak" in shown else ()
    if any(PREDICTED in cell for row, cell in enumerate(peaks) if row not in covered):
        basis = " or ".join(_bases(results))
        meanings.append(f"{PREDICTED} predicted, not measured" + (f": {basis}" if basis else ""))
        meanings += _workspace_meaning(results)
    if any(column.group for column in columns):
        of_networks = "network" in results.frame and results.frame["network"].notna().any()
        plain = "network" if of_networks else "convolution"
        meanings.append(f"{COMPARISON}: times the plain {plain}'s")
    if (doubtful_ratios(results.frame) & ~np.isnan(figures(results.frame, "latency_ratio"))).any():
        meanings.append(MEANING)
    return "; ".join(meanings)


def _time_meanings(shown: dict[str, TextColumn]) -> list[str]:
    """What the times are; their spread stands in a column of its own or beside them."""
    if "time" not in shown:
        return []
    spreads = shown.get("spread of time", shown["time"]).cells
    if any("±" in cell for cell in spreads):
        meanings = ["time: median step ± half of its 95 % confidence interval"]
        if any("±" not in cell for cell in spreads):
            meanings.append(f"no ± below {FEWEST_FOR_INTERVAL} samples")
        return meanings
    is_predicted = any(cell.startswith(PREDICTED) for cell in shown["time"].cells)
    return ["time: one step" if is_predicted else "time: median step"]


def _workspace_meaning(results: Results) -> list[str]:
    """What fills predicted peaks on a card that are far above what the cases themselves need."""
    import numpy as np

    peak = figures(results.frame, "predicted_peak_bytes")
    own = figures(results.frame, "predicted_base_bytes")
    own = own + figures(results.frame, "predicted_step_peak_bytes")
    mostly = peak - own > peak / 2
    if not mostly.any():
        return []
    size = bytes_text(float(np.median((peak - own)[mostly])))
    return [f"the smallest peaks are mostly the {size} that {WORKSPACES}"]


def _bases(results: Results) -> list[str]:
    """What stands behind the predictions, in the order of the rows."""
    if "prediction_basis" not in results.frame:
        return []
    return [one_line(str(basis)) for basis in results.frame["prediction_basis"].dropna().unique()]
