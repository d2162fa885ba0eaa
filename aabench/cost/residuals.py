"""The residuals: how measured cases fell beside their predictions, by form, mode and precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aabench.cost.calibration import Calibration, MeasuredCase
from aabench.cost.columns import LayerColumns
from aabench.cost.layer_times import TIMES
from aabench.cost.layers import UNKNOWN, predict_layers

LEAST_CASES = 3
"""Fewer measured cases than this say nothing of their spread: a wider group of cases is asked."""

TAILS = (0.025, 0.975)
"""The quantiles of the residuals that a band reaches from and to."""

Group = tuple[str | None, str | None, str | None]
"""Form, mode and precision of some cases; None for any."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What a predicted figure is multiplied by.

    Attributes:
        low: for the least that it may be.
        mid: for what to expect.
        high: for the most.
    """

    low: float
    mid: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float], default: Factors) -> Self:
        """The factors that some ratios of measured to predicted suggest.

        They reach from one of the ``TAILS`` to the other, and further: of n like cases the next falls
        outside of what was seen with probability 2 / (n + 1), and then only the default is known of
        it; so that share of the default's width comes on top. Ratios are positive, so all of this is
        done on their logarithms.

        Args:
            ratios: of cases that are like each other, at least one.
            default: the factors where nothing was measured.
        """
        logs = np.log(np.asarray(ratios, np.float64))
        surprise = 2 / (len(logs) + 1)
        lowest, highest = (float(np.quantile(logs, tail)) for tail in TAILS)
        return cls(
            float(np.exp(lowest + surprise * np.log(default.low / default.mid))),
            float(np.exp(np.median(logs))),
            float(np.exp(highest + surprise * np.log(default.high / default.mid))),
        )


UNCALIBRATED_STEP = Factors(0.85, 1.0, 1.15)
"""Of the step's share of a peak on a CPU that was not calibrated. On the CPUs on which the closed forms
were checked the worst of hundreds of random cases was 2 to 6 % off; on others oneDNN groups 8 channels
instead of 16, and so copies less."""

UNCHECKED_STEP = Factors(0.9, 1.0, 1.25)
"""The same on a card, workspaces apart: what its kernels take for a moment is not in the closed forms."""

ROOFLINE_ALONE = Factors(0.5, 1.0, 6.0)
"""Of the roofline's seconds where no case was measured: a step whose tensors stay in a cache is faster
than the memory's bandwidth allows, and small or oddly shaped products reach a fraction of the rate."""


@dataclass(frozen=True)
class Residuals:
    """Ratios of measured to predicted figures.

    Attributes:
        step_ratios: of the step's share of the peak, by form, mode and precision.
        time_ratios: of the latency to the roofline, likewise.
        step_default: the factors of the step's share where nothing was measured.
        time_default: those of the roofline's seconds.
    """

    step_ratios: Mapping[Group, tuple[float, ...]]
    time_ratios: Mapping[Group, tuple[float, ...]]
    step_default: Factors
    time_default: Factors = ROOFLINE_ALONE

    @classmethod
    def of(cls, device_type: str, calibration: Calibration | None) -> Self:
        """The residuals of the cases of a calibration, predicted anew; none without one."""
        default = UNCALIBRATED_STEP if device_type == "cpu" else UNCHECKED_STEP
        if calibration is None or not calibration.cases:
            return cls({}, {}, default)
        cases = calibration.cases
        layers = LayerColumns.from_cases(
            [item.case for item in cases], device_type, calibration.threads
        )
        figures = predict_layers(layers, ceilings=calibration.ceilings)
        seconds = np.sum([figures[name] for name in TIMES], axis=0)
        step = figures["predicted_step_peak_bytes"]
        return cls(
            _ratios(cases, [item.step_peak_bytes for item in cases], step),
            _ratios(cases, [item.latency_s for item in cases], seconds),
            default,
        )

    def step(self, form: str | None, mode: str, precision: str) -> tuple[Factors, int]:
        """Factors of the step's bytes, and how many cases are behind them: 0 for the default."""
        return _nearest(self.step_factors, (form, mode, precision), self.step_default)

    def time(self, form: str | None, mode: str, precision: str) -> tuple[Factors, int]:
        """Factors of the roofline's seconds, and how many cases are behind them."""
        return _nearest(self.time_factors, (form, mode, precision), self.time_default)

    def tables(
        self, layers: LayerColumns
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Both kinds of factors for every case, in three columns each, and the cases behind them."""
        names = (layers.attention.names, layers.mode.names, layers.precision.names)
        codes = (layers.attention.codes, layers.mode.codes, layers.precision.codes)
        shape = tuple(map(len, names))
        step, time = np.empty((*shape, 3)), np.empty((*shape, 3))
        counts = np.empty(shape, np.int64)
        for place in np.ndindex(*shape):
            form, mode, precision = (kind[index] for kind, index in zip(names, place, strict=True))
            of_step, counts[place] = self.step(form, mode, precision)
            of_time, _ = self.time(form, mode, precision)
            step[place] = (of_step.low, of_step.mid, of_step.high)
            time[place] = (of_time.low, of_time.mid, of_time.high)
        return step[codes], time[codes], counts[codes]

    @cached_property
    def step_factors(self) -> dict[Group, tuple[Factors, int]]:
        """Factors of the step's bytes, and the cases behind them, of every group with enough cases."""
        return _factors(self.step_ratios, self.step_default)

    @cached_property
    def time_factors(self) -> dict[Group, tuple[Factors, int]]:
        """Factors of the roofline's seconds, and the cases behind them, likewise."""
        return _factors(self.time_ratios, self.time_default)


def _ratios(
    cases: Sequence[MeasuredCase],
    measured: Sequence[float | None],
    predicted: NDArray[np.number],
) -> dict[Group, tuple[float, ...]]:
    """Measured over predicted, by group; cases that lack one of them are left out."""
    ratios: dict[Group, tuple[float, ...]] = {}
    for item, real, expected in zip(cases, measured, predicted.tolist(), strict=True):
        if real is None or real <= 0 or expected <= 0 or expected == UNKNOWN:
            continue
        group = (item.case.attention, item.case.mode, item.case.precision)
        ratios[group] = (*ratios.get(group, ()), real / expected)
    return ratios


def _wider(group: Group) -> tuple[Group, ...]:
    """A group and those that hold it, narrowest first: any precision, any mode, any form."""
    form, mode, precision = group
    return (
        group,
        (form, mode, None),
        (form, None, None),
        (None, mode, precision),
        (None, mode, None),
        (None, None, None),
    )


def _factors(
    ratios: Mapping[Group, tuple[float, ...]], default: Factors
) -> dict[Group, tuple[Factors, int]]:
    """Factors of every group with enough cases, wider groups included."""
    pooled: dict[Group, list[float]] = {}
    for group, values in ratios.items():
        for wider in dict.fromkeys(_wider(group)):
            pooled.setdefault(wider, []).extend(values)
    return {
        group: (Factors.of(values, default), len(values))
        for group, values in pooled.items()
        if len(values) >= LEAST_CASES
    }


def _nearest(
    factors: Mapping[Group, tuple[Factors, int]], group: Group, default: Factors
) -> tuple[Factors, int]:
    """The factors of the narrowest group that has some."""
    for wider in _wider(group):
        if wider in factors:
            return factors[wider]
    return default, 0
