"""Mixtures of two traces against the trace of the mixture itself."""

import numpy as np
import pytest
from small_models import INPUT_SIZE, OPTIONS, Small

from aabench.cost.traced.mixed_step import MixedSteps
from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.trace import record_step
from aabench.networks.augmenting import augment, augmented_layers
from aabench.networks.building import build_network
from aabench.networks.partial import partly_augmented

SMALL = (Small, ("*.conv",), OPTIONS, INPUT_SIZE)
DEBUG = (
    lambda: build_network("debug-resnet"),
    ("layer*.conv1", "layer*.conv2"),
    {"kappa": 1, "upsilon": 0.5, "heads": 4, "min_key_depth_per_head": 4},
    (3, 96, 96),
)


@pytest.mark.parametrize(
    ("network", "mode", "form", "changes"),
    [
        (SMALL, "train", "materialized", {}),
        (DEBUG, "train", "materialized", {"granularity": 512, "device_type": "cuda"}),
        (SMALL, "train", "blocked", {"optimizer": "adam"}),
        (SMALL, "train", "factored", {"precision": "amp-bf16"}),
        (DEBUG, "infer", "sdpa-bias", {}),
    ],
)
def test_every_mixture_is_what_its_own_trace_says(network, mode, form, changes):
    make, patterns, options, size = network
    settings = StepSettings(mode=mode, **changes)
    plain = make()
    full = augment(make(), patterns, input_size=size, attention=form, **options)
    names = [found.name for found in augmented_layers(full)]
    shape = (2, *size)
    mixed = MixedSteps.of(
        record_step(plain, shape, settings), record_step(full, shape, settings), names
    )
    drawn = np.random.default_rng(3).random((2, len(names))) < 0.5
    sets = np.vstack([np.zeros((1, len(names)), bool), np.ones((1, len(names)), bool), drawn])
    bases, peaks = mixed.peaks(sets)
    for chosen, base, peak in zip(sets, bases, peaks, strict=True):
        model = partly_augmented(
            plain, full, [name for name, used in zip(names, chosen, strict=True) if used]
        )
        step = record_step(model, shape, settings).figures()
        assert base == step.base_bytes
        if changes.get("optimizer") == "adam":
            # Adam's temporaries are all parameters' at once, and so no one layer's.
            assert peak == pytest.approx(step.peak_bytes, rel=0.02)
        else:
            assert peak == step.peak_bytes


def test_many_mixtures_are_the_same_as_each_alone():
    settings = StepSettings(mode="train")
    full = augment(Small(), "*.conv", input_size=INPUT_SIZE, attention="materialized", **OPTIONS)
    names = [found.name for found in augmented_layers(full)]
    mixed = MixedSteps.of(
        record_step(Small(), (2, *INPUT_SIZE), settings),
        record_step(full, (2, *INPUT_SIZE), settings),
        names,
    )
    sets = np.random.default_rng(0).random((150, len(names))) < 0.5
    together = mixed.peaks(sets)[1]
    assert list(together) == [mixed.peaks(each[None])[1][0] for each in sets]
