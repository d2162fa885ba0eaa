"""The remedies: changes that make a step need less memory, each with what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from aabench.cost.bands import Band
from aabench.cost.traced.traced_step import TracedModule
from aabench.errors import UnsupportedCase, UsageError
from aabench.fitting.budget import Budget
from aabench.fitting.forms import (
    form_names,
    is_chosen_by_auto,
    judge_form,
    preferred_form,
)
from aabench.fitting.layer_sets import LayerSets
from aabench.fitting.maximum import maximize
from aabench.fitting.predictor import Predictor
from aabench.fitting.stages import stage_of
from aabench.fitting.subject import Subject
from aabench.fitting.verdict import Judgement

EVERY = "every stage"

ANOTHER_FORM = "another form"
"""The kind of the remedies that change the attention form alone."""

BFLOAT16_SINCE = (8, 0)
"""The compute capability from which cards multiply bfloat16 matrices fast."""


class Mathematics(IntEnum):
    """Whether a change leaves the mathematics as it is; the least change first."""

    SAME = 0
    STATISTICS = 1
    ROUNDING = 2
    NETWORK = 3


MEANINGS = {
    Mathematics.SAME: "no",
    Mathematics.STATISTICS: "batch norm only",
    Mathematics.ROUNDING: "rounding",
    Mathematics.NETWORK: "another network",
}
"""The answers to "does it change the mathematics?"."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change.

    Attributes:
        kind: in one or two words.
        change: what to set, as one would type it.
        subject: with the change.
        judgement: of that.
        flops_ratio: FLOPs an image, against the step that was asked for.
        latency: seconds of one step, by its roofline; None where nothing is known of how fast the
            device is.
        time_ratio: seconds an image, against the step that was asked for; None likewise.
        mathematics: whether it stays the same.
        note: what else there is to know; may be empty.
    """

    kind: str
    change: str
    subject: Subject
    judgement: Judgement
    flops_ratio: float
    latency: Band | None
    time_ratio: float | None
    mathematics: Mathematics
    note: str = ""

    @property
    def rank(self) -> tuple[float, ...]:
        """Sorts what fits and costs least to the front.

        What keeps the mathematics comes first, then what takes least time. A form that ``auto`` never
        stands for comes last, since nobody has measured it to be better. Where no times are known,
        FLOPs are not time either: the form that ``auto`` takes on the device is the first.
        """
        form, device_type = self.subject.attention, self.subject.settings.device_type
        return (
            not self.judgement.fits,
            self.mathematics,
            self.kind == ANOTHER_FORM and not is_chosen_by_auto(form),
            0 if self.time_ratio is None else self.time_ratio,
            form != preferred_form(device_type),
            self.flops_ratio,
        )


def find_remedies(
    subject: Subject,
    predictor: Predictor,
    budget: Budget,
    sets: LayerSets | None,
    asked: Subject | None = None,
) -> tuple[Remedy, ...]:
    """Changes that make a subject need less, those that fit and change least first.

    Of each kind there is the smallest change that fits, or else the largest that was tried. Less
    attention is not tried where the network without any does not fit: it cannot help.

    Args:
        subject: fully augmented.
        predictor: of the device.
        budget: to be held.
        sets: which of its layers fit; None where there are none to choose from.
        asked: what time and FLOPs are compared with, if not with the subject.
    """
    finder = _Finder(subject, predictor, budget, asked or subject)
    found = [*finder.forms()]
    for kind in (finder.checkpoints, finder.batches, finder.precisions):
        found += _possible(kind)
    if sets is not None and sets.layers and finder.fits_without_attention:
        for kind in (finder.downsamples, finder.heads):
            found += _possible(kind)
        found += finder.sets(sets)
    return tuple(sorted(found, key=lambda remedy: remedy.rank))


def _possible(kind: Callable[[], Iterator[Remedy]]) -> list[Remedy]:
    """The last of the remedies of a kind; none where the network does not allow the change."""
    last: list[Remedy] = []
    try:
        for remedy in kind():
            last = [remedy]
            if remedy.judgement.fits:
                break
    except (UsageError, UnsupportedCase):
        # Such as heads that do not divide: there is no network with this change to be judged.
        return last
    return last


class _Finder:
    """Tries changes of one subject, each kind from its smallest change on."""

    def __init__(
        self, subject: Subject, predictor: Predictor, budget: Budget, asked: Subject
    ) -> None:
        self._subject, self._predictor, self._budget = subject, predictor, budget
        self._asked = asked

    @property
    def fits_without_attention(self) -> bool:
        """Whether the plain network fits."""
        return Judgement(self._predictor.need(self._asked.plain()), self._budget).fits

    def forms(self) -> Iterator[Remedy]:
        """Every other exact form."""
        built = self._predictor.built(self._subject.source)
        for name in form_names() if built.layers else ():
            if name == self._subject.attention:
                continue
            changed = replace(self._subject, attention=name)
            verdict = judge_form(changed, self._predictor, self._budget)
            if verdict.judgement is not None:
                yield self._remedy(ANOTHER_FORM, f"--attention {name}", changed, Mathematics.SAME)

    def checkpoints(self) -> Iterator[Remedy]:
        """Stages under checkpointing, those that keep most for the backward pass first."""
        if not self._subject.settings.trains:
            return
        stages = self._stages()
        for count in self._worth_checkpointing(stages):
            chosen = sorted(stage.name for stage in stages[:count])
            patterns = tuple(f"{name}.*" for name in chosen)
            yield self._remedy(
                "checkpointing",
                f"checkpoint each block of {', '.join(chosen) if count < len(stages) else EVERY}",
                self._subject.with_settings(checkpointed=patterns),
                Mathematics.SAME,
                "batch norm's running averages move twice a step",
            )

    def _worth_checkpointing(self, stages: list[TracedModule]) -> list[int]:
        """How many stages to checkpoint: the first alone, and all.

        Not the first alone where all that it keeps for the backward pass is less than what is missing.
        """
        if not stages:
            return []
        missing = Judgement(self._predictor.need(self._subject), self._budget).short_bytes
        is_hopeless = stages[0].saved_bytes < missing
        return [len(stages)] if is_hopeless else list(dict.fromkeys((1, len(stages))))

    def _stages(self) -> list[TracedModule]:
        """The modules beside the augmented stages, those first that keep most for the backward pass."""
        names = [layer.name for layer in self._predictor.built(self._subject.source).layers]
        beside = stage_of(names[0], names) if names else ""
        modules = self._predictor.step(self._subject).modules
        kinds = {module.kind for module in modules if module.name == beside and not module.is_leaf}
        stages = [
            module
            for module in modules
            if module.name.rpartition(".")[0] == beside.rpartition(".")[0]
            and module.kind in kinds
            and module.saved_bytes
        ]
        return sorted(stages, key=lambda each: -each.saved_bytes)

    def batches(self) -> Iterator[Remedy]:
        """The largest smaller batch that fits."""
        if self._subject.batch == 1:
            return
        best = maximize(self._subject, "batch", self._predictor, self._budget).best
        if best is None:
            best_subject = replace(self._subject, batch=1)
        else:
            best_subject = best.subject
        if best_subject.batch >= self._subject.batch:
            return
        steps = -(-self._subject.batch // best_subject.batch)
        trains = self._subject.settings.trains
        yield self._remedy(
            "smaller batch",
            f"--batch {best_subject.batch}",
            best_subject,
            Mathematics.STATISTICS if trains else Mathematics.SAME,
            f"accumulate gradients over {steps} steps" if trains else f"{steps} passes",
        )

    def precisions(self) -> Iterator[Remedy]:
        """Autocast."""
        if self._subject.settings.precision not in ("fp32", "tf32"):
            return
        target = self._predictor.target
        is_old = target.capability is not None and target.capability < BFLOAT16_SINCE
        name = "amp-fp16" if target.device_type == "cuda" and is_old else "amp-bf16"
        changed = self._subject.with_settings(precision=name)
        note = "with torch.amp.GradScaler" if name == "amp-fp16" and changed.settings.trains else ""
        yield self._remedy(
            "mixed precision", f"--precision {name}", changed, Mathematics.ROUNDING, note
        )

    def downsamples(self) -> Iterator[Remedy]:
        """All attention coarser than its output."""
        layers = self._predictor.built(self._subject.source).layers
        least = min(found.layer.downsample for found in layers)
        for factor in (each for each in (2, 4) if each > least):
            changed = self._subject.with_network(downsample=factor)
            change = f"--downsample {factor}"
            yield self._remedy("pooled attention", change, changed, Mathematics.NETWORK)

    def heads(self) -> Iterator[Remedy]:
        """Half as many heads, and again."""
        layers = self._predictor.built(self._subject.source).layers
        most = max(found.layer.heads for found in layers)
        for heads in (most >> times for times in range(1, most.bit_length())):
            changed = self._subject.with_network(heads=heads)
            yield self._remedy("fewer heads", f"--heads {heads}", changed, Mathematics.NETWORK)

    def sets(self, sets: LayerSets) -> Iterator[Remedy]:
        """Fewer layers augmented."""
        total = len(sets.layers)
        for words, chosen in (("the last", sets.from_last), ("the best", sets.best_use)):
            if not 0 < len(chosen) < total or (words == "the best" and chosen == sets.from_last):
                continue
            yield self._remedy(
                "fewer layers",
                f"augment {words} {len(chosen)} of {total} layers",
                replace(self._subject, layers=frozenset(chosen)),
                Mathematics.NETWORK,
                f"from {chosen[0]} on" if words == "the last" else "",
            )

    def _remedy(
        self, kind: str, change: str, changed: Subject, mathematics: Mathematics, note: str = ""
    ) -> Remedy:
        return Remedy(
            kind,
            change,
            changed,
            Judgement(self._predictor.need(changed), self._budget),
            self._flops_an_image(changed) / self._flops_an_image(self._asked),
            self._predictor.latency(changed),
            self._time_ratio(changed),
            mathematics,
            note,
        )

    def _flops_an_image(self, subject: Subject) -> float:
        return self._predictor.step(subject).flops / subject.batch

    def _time_ratio(self, changed: Subject) -> float | None:
        """Seconds an image against those of the step that was asked for, if both are known."""
        now, before = (self._predictor.latency(each) for each in (changed, self._asked))
        if now is None or before is None:
            return None
        return (now.mid / changed.batch) / (before.mid / self._asked.batch)
