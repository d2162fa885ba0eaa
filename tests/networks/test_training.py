"""It trains: a torchvision ResNet with augmented convolutions, 50 steps with every form.

In float64 the loss curves of all forms must be one curve. In fp32 and amp-bf16 they may drift apart,
as far as training itself carries roundings: how far that is, control runs measure, in which the form
`materialized` trains while its outputs are disturbed by roundings drawn at random.

The network's ReLUs are SiLUs here, since the kink of a ReLU now and then turns a rounding into a jump.
"""

from __future__ import annotations

import io
from functools import cache, partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from torchvision.models.resnet import BasicBlock, ResNet

from aabench import augment
from aabench.cases.catalogue import ATTENTIONS
from aabench.errors import UnsupportedCase
from aabench.layers import AugmentedConv2d
from aabench.layers.reference import reference_layer

BASELINE = "materialized"
STEPS = 50
IMAGES = (3, 16, 12)
BATCH = 12

DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "amp-bf16": torch.float32}
EPSILON = {
    "fp64": torch.finfo(torch.float64).eps,
    "fp32": torch.finfo(torch.float32).eps,
    "amp-bf16": torch.finfo(torch.bfloat16).eps,
}

FP64_ROUNDING = 1e-9
"""Roundings of float64 came to 1e-15; a form without the gradient of one of its tables, to 1e-5."""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The tensors here are tiny: handing them to a second thread costs more than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=ATTENTIONS.names())
def form(request):
    """Each name of the catalogue; skipped, with the form's own reason, where it cannot run."""
    layer = AugmentedConv2d(8, 8, dk=4, dv=4, heads=2, resolution=4, attention=request.param)
    try:
        layer(torch.zeros(1, 8, 4, 4)).sum().backward()
    except UnsupportedCase as refusal:
        pytest.skip(str(refusal))
    return request.param


class NarrowResNet(ResNet):
    """torchvision's ResNet with an eighth of its channels."""

    def _make_layer(self, block, planes, *arguments, **named):
        return super()._make_layer(block, planes // 8, *arguments, **named)


def build(attention, precision="fp32"):
    """One basic block in each of three stages; attention at 8x6, 4x3 and 2x2 pixels."""
    torch.manual_seed(0)
    model = NarrowResNet(BasicBlock, [1, 1, 1, 1], num_classes=4)
    model.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
    model.maxpool = model.layer4 = nn.Identity()
    model.fc = nn.Linear(32, 4)
    for module in model.modules():
        if hasattr(module, "relu"):
            module.relu = nn.SiLU()
    augment(
        model,
        "layer?.0.conv1",
        kappa=0.5,
        upsilon=0.5,
        heads=2,
        min_key_depth_per_head=4,
        input_size=IMAGES,
        attention=attention,
    )
    return model.to(DTYPES[precision])


def attention_layers(model):
    return [module for module in model.modules() if isinstance(module, AugmentedConv2d)]


def optimizer_of(model):
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)


def trained(model, optimizer, precision, steps):
    """The loss of each of some steps, always on the same few images, as float64 numbers."""
    images = torch.randn(BATCH, *IMAGES, generator=torch.Generator().manual_seed(1))
    images, labels = images.to(DTYPES[precision]), torch.arange(BATCH) % 4
    losses = []
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "amp-bf16"):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64)


def curve_of(model, precision):
    return trained(model, optimizer_of(model), precision, STEPS)


@cache
def curve(attention, precision):
    return curve_of(build(attention, precision), precision)


def disturbed_curve(precision, seed):
    """That of the baseline, each attention layer's output off by up to 2 epsilons, at random."""
    generator = torch.Generator().manual_seed(seed)

    def disturb(_module, _inputs, output):
        share = 2 * torch.rand(output.shape, generator=generator).to(output.dtype) - 1
        return output * (1 + 2 * EPSILON[precision] * share)

    model = build(BASELINE, precision)
    for layer in attention_layers(model):
        layer.register_forward_hook(disturb)
    return curve_of(model, precision)


@cache
def tolerance(precision):
    """How far apart roundings bring two curves: 4 times as far as the furthest of three controls.

    But at least 16 roundings of the loss itself, which fp32 and amp-bf16 compute in fp32.
    """
    if precision == "fp64":
        return FP64_ROUNDING
    baseline = curve(BASELINE, precision)
    furthest = max((disturbed_curve(precision, seed) - baseline).abs().max() for seed in range(3))
    return max(4 * furthest, 16 * EPSILON["fp32"] * baseline.max()).item()


def assert_one_curve(actual, precision):
    expected = curve(BASELINE, precision)
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance(precision))


@pytest.mark.parametrize("precision", DTYPES)
def test_every_form_trains_alike(form, precision):
    actual = curve(form, precision)
    assert actual[-1] < actual[0] / 100
    assert_one_curve(actual, precision)


@pytest.mark.parametrize("precision", ["fp64", "amp-bf16"])
def test_checkpointing_changes_nothing(form, precision):
    model = build(form, precision)
    for stage in (model.layer1, model.layer2, model.layer3):
        stage.forward = partial(checkpoint, stage.forward, use_reentrant=False)
    layers, calls = attention_layers(model), []
    for layer in layers:
        layer.register_forward_hook(lambda layer, *_: calls.append(layer))
    actual = curve_of(model, precision)
    assert len(calls) == 2 * len(layers) * STEPS
    assert_one_curve(actual, precision)


def test_training_goes_on_in_another_form(form):
    """By assignment after 15 steps; after 35 by save and reload, into the baseline."""
    model = build(BASELINE, "fp64")
    optimizer = optimizer_of(model)
    losses = [trained(model, optimizer, "fp64", 15)]
    for layer in attention_layers(model):
        layer.attention = form
    losses.append(trained(model, optimizer, "fp64", 20))
    saved = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, saved)
    state = torch.load(io.BytesIO(saved.getvalue()), weights_only=True)
    model = build(BASELINE, "fp64")
    optimizer = optimizer_of(model)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    losses.append(trained(model, optimizer, "fp64", 15))
    assert_one_curve(torch.cat(losses), "fp64")


@cache
def trained_layers():
    """The attention layers of a trained network, each with an input that reaches it."""
    model = build(BASELINE)
    trained(model, optimizer_of(model), "fp32", 20)
    layers, inputs = attention_layers(model.eval()), []
    for layer in layers:
        layer.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].detach()))
    model(torch.randn(2, *IMAGES))
    return list(zip(layers, inputs, strict=True))


def test_switching_the_form_of_a_trained_layer_changes_no_more_than_roundings(form):
    for layer, x in trained_layers():
        exact = reference_layer(x, layer.state_dict(), layer.specification).detach()
        errors = {}
        for name in (BASELINE, form):
            layer.attention = name
            errors[name] = (layer(x).double() - exact).norm() / exact.norm()
        assert max(errors.values()) < 8 * EPSILON["fp32"], errors
