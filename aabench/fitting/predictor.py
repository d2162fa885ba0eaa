"""The predictor: needs of subjects on one device, each step traced once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aabench.cost.bands import Band, Bands
from aabench.cost.cuda_rules import cuda_context, segment_slack
from aabench.cost.roofline import step_time
from aabench.cost.target import Target
from aabench.cost.traced.batches import BASIS
from aabench.cost.traced.cudnn import step_cudnn_bytes
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
    _even: dict[Subject, bool] = field(default_factory=dict, repr=False)
    _steps: dict[Subject, TracedStep] = field(default_factory=dict, repr=False)
    _mixtures: dict[Subject, tuple[MixedSteps, int]] = field(default_factory=dict, repr=False)

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
        return self._step_need(subject, self.step(subject))

    def need_by_batches(self, subject: Subject) -> Need:
        """What a subject needs if its step grows evenly with the batch, from small batches.

        ``grows_evenly`` says whether it does; raises as ``step`` does.
        """
        if subject in self._records or subject.batch <= BASIS[-1]:
            return self.need(subject)
        record = self._at_batch(subject)
        return self.need(subject) if record is None else self._step_need(subject, record.figures())

    def grows_evenly(self, subject: Subject) -> bool:
        """Whether the steps of all larger batches follow from two small ones.

        The largest batch that was traced for other reasons is compared with what follows, this
        subject's own if none was. From then on such steps are not traced any more. Raises as ``step``
        does.
        """
        family = replace(subject, batch=0)
        if family not in self._even:
            traced = [
                each
                for each, record in self._records.items()
                if each.batch > BASIS[-1] and replace(each, batch=0) == family
            ]
            witness = max(traced, key=lambda each: each.batch, default=subject)
            record = self._at_batch(witness)
            self._even[family] = record is not None and record.equals(self._record(witness))
        return self._even[family]

    def needs_of_sets(self, subject: Subject, augmented: NDArray[np.bool_]) -> list[Need]:
        """What a network needs of which only some layers are augmented, for many sets at once.

        Args:
            subject: with all layers augmented.
            augmented: (sets, layers), in the network's order; whether each layer is augmented.

        Raises:
            UsageError, UnsupportedCase: as ``step`` does.
        """
        mixed, cudnn = self._mixture(subject)
        bases, peaks = mixed.peaks(augmented)
        return [
            self._need(subject, int(base), int(peak), cudnn)
            for base, peak in zip(bases, peaks, strict=True)
        ]

    def latency(self, subject: Subject) -> Band | None:
        """Seconds of one step of a subject by its roofline; raises as ``step`` does.

        Returns:
            None where nothing is known of how fast the device is.
        """
        settings, bands = subject.settings, self._bands
        if bands.ceilings is None:
            return None
        time = step_time(self.step(subject).operations, bands.ceilings, settings.precision)
        if time is None:
            return None
        return bands.latency(time, mode=settings.mode, precision=settings.precision)

    def _mixture(self, subject: Subject) -> tuple[MixedSteps, int]:
        """All sets of a subject's layers, and the most that cuDNN may take with any of them."""
        if subject not in self._mixtures:
            names = [layer.name for layer in self.built(subject.source).layers]
            plain = subject.plain()
            cudnn = max(step_cudnn_bytes(self.step(each)) for each in (subject, plain))
            mixed = MixedSteps.of(self._record(plain), self._record(subject), names)
            self._mixtures[subject] = mixed, cudnn
        return self._mixtures[subject]

    def _record(self, subject: Subject) -> StepRecord:
        if subject not in self._records:
            is_known = self._even.get(replace(subject, batch=0), False)
            record = self._at_batch(subject) if is_known and subject.batch > BASIS[-1] else None
            if record is None:
                shape = (subject.batch, *subject.source.input_size)
                record = record_step(self._model(subject), shape, subject.settings)
            self._records[subject] = record
        return self._records[subject]

    def _at_batch(self, subject: Subject) -> StepRecord | None:
        """What follows from small batches for a subject; None if nothing does."""
        first, second = (self._record(replace(subject, batch=batch)) for batch in BASIS)
        return at_batch(first, second, subject.batch)

    def _model(self, subject: Subject) -> nn.Module:
        """The subject's network, not to be changed."""
        built = self.built(subject.source)
        if subject.layers is not None and not subject.layers:
            return built.plain
        set_attention(built.augmented, subject.attention)
        if subject.layers is None:
            return built.augmented
        return partly_augmented(built.plain, built.augmented, sorted(subject.layers))

    def _step_need(self, subject: Subject, step: TracedStep) -> Need:
        return self._need(subject, step.base_bytes, step.peak_bytes, step_cudnn_bytes(step))

    @property
    def _bands(self) -> Bands:
        return self.bands or self.target.bands

    def _need(self, subject: Subject, base: int, peak: int, cudnn_bytes: int) -> Need:
        settings = subject.settings
        band = self._bands.step_peak(
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


def process_need(peak: int, low: int, high: int, basis: str, device_type: str) -> Need:
    """What a whole process needs, from a band of its allocated peak.

    On a card its context is added, and what the allocator reserves beyond what it has handed out.
    """
    if device_type == "cuda":
        context = cuda_context()
        low += int(context.low) + int(segment_slack(low).low)
        high += int(context.high) + int(segment_slack(high).high)
    return Need.of(peak, low, high, basis, device_type=device_type)
