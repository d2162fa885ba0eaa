"""The batches: one network's step at many batch sizes, traced few times and derived otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from aabench.cost.traced.step_record import StepRecord, at_batch
from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.trace import record_step
from aabench.cost.traced.traced_step import TracedStep

BASIS = (2, 4)
"""The batches that others are derived from. One image is laid out in ways of its own."""


def predict_steps(
    model: nn.Module,
    input_size: tuple[int, int, int],
    batches: Sequence[int],
    settings: StepSettings | None = None,
) -> dict[int, TracedStep]:
    """The step of a model at each of some batch sizes.

    Where every block of memory and every count grows evenly with the batch, two small traces give
    all others. The largest batch asked for is traced as well to see that they do; where it differs,
    each batch is traced on its own, and the steps' ``basis`` says so.

    Args:
        model: as in ``trace_step``.
        input_size: (C, H, W).
        batches: images per step, in any order.
        settings: what the step is.

    Raises:
        UsageError: as ``trace_step`` does.
    """
    settings = settings or StepSettings()
    wanted = sorted(set(batches))

    def traced(batch: int) -> StepRecord:
        return record_step(model, (batch, *input_size), settings)

    derivable = [batch for batch in wanted if batch > 1]
    if len(derivable) <= len(BASIS) + 1:
        return {batch: traced(batch).figures() for batch in wanted}
    first, second = (traced(batch) for batch in BASIS)
    largest = traced(derivable[-1])
    known = {record.batch: record for record in (first, second, largest)}
    derived = at_batch(first, second, largest.batch)
    is_even = derived is not None and derived.equals(largest)
    steps = {}
    for batch in wanted:
        record = known.get(batch)
        if record is None and is_even and batch > 1:
            record = at_batch(first, second, batch)
        if record is None:
            record = traced(batch)
            if batch > 1:
                record = replace(record, basis="traced: it does not grow evenly with the batch")
        steps[batch] = record.figures()
    return steps
