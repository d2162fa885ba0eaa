"""The bands: low, mid and high of every predicted figure, and what stands behind them.

Where this machine has been calibrated, a band is where the measured cases that are most like a case
fell beside their predictions. Everywhere else it is wide, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aabench.cases.card import Card
from aabench.cases.ceilings import Ceilings
from aabench.cost.calibration import Calibration, find_calibration
from aabench.cost.columns import Column, Labels, LayerColumns
from aabench.cost.cuda_rules import (
    cublas_workspace,
    cublaslt_workspace,
    cudnn_workspace,
    layer_cudnn_bytes,
)
from aabench.cost.layer_times import TIMES
from aabench.cost.layers import UNKNOWN, Figures
from aabench.cost.residuals import Residuals
from aabench.cost.roofline import BOUNDS, StepTime, bound_codes

UNCALIBRATED = "uncalibrated"
UNCHECKED = "never checked on a card"
UNPREDICTED = ""

LARGEST = 2.0**63 - 2.0**11
"""Bytes beyond this would overflow."""


@dataclass(frozen=True, slots=True)
class Band:
    """One predicted figure.

    Attributes:
        low: bytes or seconds, at the least.
        mid: to expect.
        high: at the most.
        basis: what stands behind it, in a few words.
    """

    low: float
    mid: float
    high: float
    basis: str


@dataclass(frozen=True)
class Bands:
    """The bands for one device.

    Attributes:
        device_type: ``cpu`` or ``cuda``.
        card: the card that is predicted for; None on the CPU.
        calibration: what was measured of this very device; None if nothing was.
        residuals: how the cases in it fell beside their predictions.
    """

    device_type: str
    card: Card | None
    calibration: Calibration | None
    residuals: Residuals

    @classmethod
    def load(
        cls,
        device_type: str = "cpu",
        *,
        device_name: str | None = None,
        card: Card | None = None,
        path: Path | None = None,
    ) -> Self:
        """The bands for a device, from the user's calibrations.

        Args:
            device_type: ``cpu`` or ``cuda``.
            device_name: the processor's or card's name; without it and without a card, the latest
                calibration of the type is taken.
            card: the card that is predicted for; without ``device_name``, only a calibration of a
                device that bears one of its names will do.
            path: of the calibrations; by default the user's.

        Raises:
            UsageError: the file of calibrations is broken.
        """
        names: tuple[str, ...] = (device_name,) if device_name else ()
        if card is not None and not names:
            names = card.devices
        calibration = None
        if card is None or names:
            calibration = find_calibration(device_type, names, path)
        return cls(device_type, card, calibration, Residuals.of(device_type, calibration))

    @property
    def ceilings(self) -> Ceilings | None:
        """Measured ones if there are any, else the card's; None: no times can be predicted."""
        if self.calibration is not None:
            return self.calibration.ceilings
        return None if self.card is None else self.card.ceilings()

    def apply(self, figures: Figures, layers: LayerColumns) -> dict[str, Any]:
        """The columns that make predictions of layers into bands.

        Args:
            figures: what ``predict_layers`` said of the layers, with ``ceilings`` if there are any.
            layers: the same.

        Returns:
            ``predicted_peak_bytes`` and its ``predicted_peak_low_bytes`` and
            ``predicted_peak_high_bytes`` as int64, on a card with its workspaces;
            ``prediction_basis`` as labels; and where times are predicted ``predicted_latency_s``,
            ``predicted_latency_low_s``, ``predicted_latency_high_s`` as float64 and ``bound`` as
            labels. ``UNKNOWN`` and an empty label where nothing is predicted.
        """
        step, time, basis = self.residuals.tables(layers)
        known = figures["predicted_peak_bytes"] != UNKNOWN
        columns = self._peaks(figures, layers, step)
        columns["prediction_basis"] = self._basis_labels(basis, known)
        if TIMES[0] in figures:
            columns |= _latencies(figures, time)
        return columns

    def step_peak(
        self,
        base_bytes: int,
        step_bytes: int,
        *,
        mode: str,
        precision: str,
        cudnn_bytes: int = 0,
    ) -> Band:
        """The peak of a network's step, from all forms' residuals in this mode and precision.

        Args:
            base_bytes: alive before the step.
            step_bytes: what the step adds at its peak.
            mode: such as ``train``.
            precision: of the case.
            cudnn_bytes: the most that cuDNN may take, by ``cuda_rules.cudnn_most_bytes``.
        """
        factors, cases = self.residuals.step(None, mode, precision)
        low, mid, high = self._allowances(np.asarray(cudnn_bytes))
        whole = float(base_bytes)
        return Band(
            whole + step_bytes * min(1.0, factors.low) + float(low),
            whole + step_bytes + float(mid),
            whole + step_bytes * max(1.0, factors.high) + float(high),
            self._basis(cases),
        )

    def latency(self, time: StepTime, *, mode: str, precision: str) -> Band:
        """The latency of a network's step: its roofline, corrected as all forms' residuals say."""
        factors, cases = self.residuals.time(None, mode, precision)
        seconds = time.seconds
        return Band(
            seconds * factors.low, seconds * factors.mid, seconds * factors.high, self._basis(cases)
        )

    def _peaks(
        self, figures: Figures, layers: LayerColumns, step: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Low, mid and high of the peak; the base is exact, the step's share is not."""
        base, share = figures["predicted_base_bytes"], figures["predicted_step_peak_bytes"]
        known = figures["predicted_peak_bytes"] != UNKNOWN
        cudnn = layer_cudnn_bytes(layers) if self.card is not None else np.zeros_like(base)
        low, mid, high = self._allowances(cudnn)
        lowest = base + np.floor(share * np.minimum(step[:, 0], 1.0)) + low
        highest = base + np.ceil(share * np.maximum(step[:, 2], 1.0)) + high
        return {
            "predicted_peak_bytes": np.where(known, base + share + mid, UNKNOWN),
            "predicted_peak_low_bytes": np.where(known, lowest, UNKNOWN).astype(np.int64),
            "predicted_peak_high_bytes": np.where(
                known, np.minimum(highest, LARGEST), UNKNOWN
            ).astype(np.int64),
        }

    def _allowances(self, cudnn_bytes: Column) -> tuple[Column | int, Column | int, Column | int]:
        """What a card needs inside the allocated peak, beside the step's tensors: low, mid, high."""
        if self.card is None:
            return 0, 0, 0
        lines = (
            cublas_workspace(self.card.capability),
            cublaslt_workspace(),
            cudnn_workspace(cudnn_bytes),
        )
        return (
            sum(line.low for line in lines),
            sum(line.mid for line in lines),
            sum((line.high for line in lines), np.zeros_like(cudnn_bytes)),
        )

    def _basis_labels(self, cases: NDArray[np.int64], known: NDArray[np.bool_]) -> Labels:
        """What stands behind each row, from the number of measured cases that does."""
        counts, codes = np.unique(cases, return_inverse=True)
        names = (UNPREDICTED, *(self._basis(int(count)) for count in counts))
        return Labels(np.where(known, codes + 1, 0).astype(np.int16), names)

    def _basis(self, cases: int) -> str:
        if self.calibration is not None and cases:
            return f"calibrated on {self.calibration.device_name}, {cases} cases"
        return UNCALIBRATED if self.device_type == "cpu" else UNCHECKED


def _latencies(figures: Figures, time: NDArray[np.float64]) -> dict[str, Any]:
    """Low, mid and high of the latency, and what bounds it."""
    spent = [figures[name] for name in TIMES]
    known = spent[0] != UNKNOWN
    seconds = spent[0] + spent[1] + spent[2]
    columns: dict[str, Any] = {
        name: np.where(known, seconds * time[:, place], UNKNOWN)
        for place, name in enumerate(
            ("predicted_latency_low_s", "predicted_latency_s", "predicted_latency_high_s")
        )
    }
    codes = np.where(known, bound_codes(*spent) + 1, 0).astype(np.int16)
    return columns | {"bound": Labels(codes, (UNPREDICTED, *BOUNDS))}
