"""The predictor: needs of subjects on one device, each step traced once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aabench.cost.bands import Bands
from aabench.cost.cuda_rules import cuda_context, cudnn_most_bytes, segment_slack
from aabench.cost.execution import ITEM_SIZES
from aabench.cost.target import Target
from aabench.cost.traced.batches import BASIS
from aabench.cost.traced.mixed_step import MixedSteps
from aabench.cost.traced.step_record import StepRecord, at_batch
from aabench.cost.traced.trace import record_step
from aabench.cost.traced.traced_step import TracedStep
from aabench.fitting.source import Built, Source
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Need
from aabench.networks.partial import partly_augmented, set_attention


@dataclass
class Predictor:
    """What steps need on one device.

    Attributes:
        target: the device.
        bands: of its predictions; None for those of the target.
    """

    target: Target
    bands: Bands | None = None
    _built: dict[Source, Built] = field(default_factory=dict, repr=False)
    _records: dict[Subject, StepRecord] = field(default_factory=dict, repr=False)
    _steps: dict[Subject, TracedStep] = field(default_factory=dict, repr=False)

    def built(self, source: Source) -> Built:
        """The networks of a source.

        Raises:
            UsageError: it makes none.
        """
        if source not in self._built:
            self._built[source] = Built(source)
        return self._built[source]

    def step(self, subject: Subject) -> TracedStep:
        """The predicted step of a subject.

        Raises:
            UsageError: it cannot be built or traced.
            UnsupportedCase: the attention form cannot compute it.
        """
        if subject not in self._steps:
            self._steps[subject] = self._record(subject).figures()
        return self._steps[subject]

    def need(self, subject: Subject) -> Need:
        """What a subject needs; raises as ``step`` does."""
        step = self.step(subject)
        cudnn = self._cudnn_bytes(step, self._model(subject))
        return self._need(subject, step.base_bytes, step.peak_bytes, cudnn)

    def need_by_batches(self, subject: Subject) -> Need:
        """What a subject needs, from small batches where the step grows evenly with the batch.

        Raises as ``step`` does.
        """
        if subject in self._records or subject.batch <= BASIS[-1]:
            return self.need(subject)
        first, second = (self._record(replace(subject, batch=batch)) for batch in BASIS)
        record = at_batch(first, second, subject.batch)
        if record is None:
            return self.need(subject)
        step = record.figures()
        cudnn = self._cudnn_bytes(step, self._model(subject))
        return self._need(subject, step.base_bytes, step.peak_bytes, cudnn)

    def needs_of_sets(self, subject: Subject, augmented: NDArray[np.bool_]) -> list[Need]:
        """What a network needs of which only some layers are augmented, for many sets at once.

        Args:
            subject: with all layers augmented.
            augmented: (sets, layers), in the network's order; whether each layer is augmented.

        Raises:
            UsageError, UnsupportedCase: as ``step`` does.
        """
        names = [layer.name for layer in self.built(subject.source).layers]
        plain = subject.plain()
        mixed = MixedSteps.of(self._record(plain), self._record(subject), names)
        cudnn = max(
            self._cudnn_bytes(self.step(each), self._model(each)) for each in (subject, plain)
        )
        bases, peaks = mixed.peaks(augmented)
        return [
            self._need(subject, int(base), int(peak), cudnn)
            for base, peak in zip(bases, peaks, strict=True)
        ]

    def _record(self, subject: Subject) -> StepRecord:
        if subject not in self._records:
            shape = (subject.batch, *subject.source.input_size)
            self._records[subject] = record_step(self._model(subject), shape, subject.settings)
        return self._records[subject]

    def _model(self, subject: Subject) -> nn.Module:
        """The subject's network, not to be changed."""
        built = self.built(subject.source)
        if subject.layers is not None and not subject.layers:
            return built.plain
        set_attention(built.augmented, subject.attention)
        if subject.layers is None:
            return built.augmented
        return partly_augmented(built.plain, built.augmented, sorted(subject.layers))

    def _need(self, subject: Subject, base: int, peak: int, cudnn_bytes: int) -> Need:
        settings = subject.settings
        band = (self.bands or self.target.bands).step_peak(
            base,
            peak - base,
            mode=settings.mode,
            precision=settings.precision,
            cudnn_bytes=cudnn_bytes,
        )
        return process_need(
            round(band.mid),
            int(band.low),
            int(np.ceil(band.high)),
            band.basis,
            self.target.device_type,
        )

    def _cudnn_bytes(self, step: TracedStep, model: nn.Module) -> int:
        """The most that cuDNN may take in any convolution of a step."""
        if self.target.card is None:
            return 0
        item = ITEM_SIZES[step.settings.precision][1]
        modules = dict(model.named_modules())
        sizes = [0]
        for traced in step.modules:
            convolution = modules.get(traced.name)
            if not isinstance(convolution, nn.Conv2d):
                continue
            elements = cudnn_most_bytes(
                _product(traced.input_shape),
                _product(traced.output_shape),
                traced.params,
                convolution.kernel_size[0],
            )
            sizes.append(item * int(elements))
        return max(sizes)


def _product(shape: Sequence[int] | None) -> int:
    return int(np.prod(shape, dtype=np.int64)) if shape else 0


def process_need(peak: int, low: int, high: int, basis: str, device_type: str) -> Need:
    """What a whole process needs, from a band of its allocated peak.

    On a card its context is added, and what the allocator reserves beyond what it has handed out.
    """
    if device_type == "cuda":
        context = cuda_context()
        low += int(context.low) + int(segment_slack(low).low)
        high += int(context.high) + int(segment_slack(high).high)
    return Need.of(peak, low, high, basis, device_type=device_type)
