"""augment(): what it swaps, what it keeps, what it refuses and how it says so."""

import copy

import pytest
import torch
from torch import nn

from aabench.errors import UsageError
from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.networks.augmenting import augment, augmented_layers
from aabench.networks.building import build_network
from aabench.networks.resnet import BOTTLENECK_LAYERS, BOTTLENECK_RULE
from aabench.published.counting import count_model, count_network


class Model(nn.Module):
    """Two convolutions, one of stride 2, then a classifier."""

    def __init__(self, **second):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 32, **{"kernel_size": 3, "stride": 2, "padding": 1, **second})
        self.classifier = nn.Linear(32, 5)

    def forward(self, x):
        return self.classifier(self.second(self.norm(self.first(x)).relu()).mean(dim=(2, 3)))


SMALL = {"heads": 2, "dk": 8, "dv": 4, "input_size": (3, 12, 18)}


@pytest.mark.parametrize("name", ["timm:resnet50", "torchvision:resnet50"])
def test_a_library_model_augmented_alike_costs_what_ours_does(name):
    with torch.device("meta"):
        model = augment(build_network(name), BOTTLENECK_LAYERS, **BOTTLENECK_RULE).eval()
        assert count_model(model, torch.empty(1, 3, 224, 224)) == count_network("aa-resnet50")


def test_the_model_is_changed_in_place_and_still_trains():
    model = Model()
    assert augment(model, "second", **SMALL) is model
    model(torch.randn(2, 3, 12, 18)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_resolution_of_each_convolution_is_the_one_that_reaches_it():
    model = augment(Model(), ["first", "second"], **SMALL, downsample={"first": 3})
    first, second = augmented_layers(model)
    assert (first.name, second.name) == ("first", "second")
    assert (first.layer.height, first.layer.width, first.layer.downsample) == (12, 18, 3)
    assert (second.layer.stride, second.layer.downsample) == (2, 1)
    assert second.layer.attention_resolution == (6, 9)


def test_what_the_convolution_was_stays():
    model = Model().double().eval()
    augment(model, "second", **SMALL)
    layer = model.second
    assert layer.bias and layer.kqv.weight.dtype == torch.float64 and not layer.training
    assert (layer.in_channels, layer.out_channels, layer.kernel_size) == (16, 32, 3)


def test_kept_filters_make_the_same_channels_as_before():
    model = Model().double().eval()
    before = copy.deepcopy(model.second)
    augment(model, "second", **SMALL, copy_filters=True)
    x = torch.randn(2, 16, 12, 18, dtype=torch.float64)
    torch.testing.assert_close(model.second(x)[:, :28], before(x)[:, :28])


def test_filters_are_new_unless_asked_for():
    model = Model()
    before = copy.deepcopy(model.second)
    augment(model, "second", **SMALL)
    assert not torch.equal(model.second.conv.weight, before.weight[:28])


def test_a_function_chooses_by_resolution_kernel_and_name():
    seen = []

    def chosen(candidate):
        seen.append((candidate.name, candidate.resolution, candidate.convolution.stride))
        return candidate.resolution == (12, 18) and candidate.convolution.stride == (2, 2)

    model = augment(Model(), chosen, **SMALL)
    assert seen == [("first", (12, 18), (1, 1)), ("second", (12, 18), (2, 2))]
    assert [each.name for each in augmented_layers(model)] == ["second"]


@pytest.mark.parametrize("pattern", ["head", "same.0", "*[d0]"])
def test_a_shared_convolution_stays_shared_and_gets_the_largest_resolution(pattern):
    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Conv2d(3, 8, 3, padding=1)
            self.same = nn.ModuleList([self.head])

        def forward(self, x):
            return [self.head(x[:, :, ::2, ::2]), self.same[0](x)]

    model = augment(Pyramid(), pattern, **SMALL)
    assert model.same[0] is model.head and isinstance(model.head, AugmentedConv2d)
    assert model.head.resolution == (12, 18)


def test_a_large_model_is_traced_without_memory_or_change():
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 65536, 3, padding=1), nn.Conv2d(65536, 65536, 1))
    augment(model, "0", **SMALL)
    assert model.training and model[0].kqv.weight.is_meta


def test_batch_norm_keeps_its_statistics_and_the_model_its_mode():
    model = Model().train()
    before = copy.deepcopy(model.norm.state_dict())
    augment(model, "second", **SMALL)
    assert model.training and model.norm.training
    for key, value in model.norm.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize(
    ("second", "what"),
    [
        ({"groups": 2}, "second cannot be augmented: it is grouped; got 'groups=2'"),
        ({"dilation": 2, "padding": 2}, "it is dilated"),
        ({"padding": 0}, "not padded by half"),
        ({"kernel_size": (3, 1), "padding": (1, 0)}, "no odd and square window"),
        ({"stride": (2, 1)}, "unequal strides"),
        ({"padding_mode": "reflect"}, "not padded by zeros"),
    ],
)
def test_convolutions_that_cannot_be_augmented_are_refused_by_name(second, what):
    model = Model(**second)
    with pytest.raises(UsageError, match=what):
        augment(model, ["first", "second"], **SMALL)
    assert type(model.first) is nn.Conv2d  # nothing was swapped


def test_a_parametrized_convolution_is_refused():
    model = Model()
    nn.utils.parametrizations.weight_norm(model.second)
    with pytest.raises(UsageError, match="code of its own; got 'ParametrizedConv2d'"):
        augment(model, "second", **SMALL)


@pytest.mark.parametrize(
    ("layers", "changes", "what"),
    [
        ("third", {}, "matches no module.*allowed: first, second"),
        ("*", {}, "norm, which is not a Conv2d; got 'BatchNorm2d'; allowed: first, second"),
        ("classifier", {}, "not a Conv2d; got 'Linear'; allowed: none"),
        ([], {}, "no pattern"),
        (lambda candidate: False, {}, "chooses none"),
        ("second", {"input_size": (4, 12, 12)}, "fails in first .Conv2d., which 1x4x12x12"),
        ("second", {"input_size": (3, 0, 12)}, "the input's height is no positive count"),
        ("second", {"kappa": 0.5}, "exactly one of dk and kappa"),
        ("second", {"dv": None}, "exactly one of dv and upsilon; got 'neither'"),
        ("second", {"dv": 64}, "second cannot be augmented like this: dv = 64 exceeds the 32"),
        ("second", {"dk": 7}, "2 heads do not divide dk = 7"),
        ("second", {"most_tokens": 53}, "a map of 6x9 pixels has 2 x 54\\^2 logits"),
        ("second", {"dv": None, "upsilon": 0.01}, "dv comes out as 0"),
        ("second", {"attention": "fastest"}, "unknown attention form"),
    ],
)
def test_bad_requests_are_refused_and_leave_the_model_alone(layers, changes, what):
    model = Model()
    with pytest.raises(UsageError, match=what):
        augment(model, layers, **{**SMALL, **changes})
    assert type(model.first) is nn.Conv2d and type(model.second) is nn.Conv2d


def test_an_input_that_shrinks_to_zero_is_said_to():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(4), nn.MaxPool2d(4))
    with pytest.raises(UsageError, match="shrinks to zero: 2 .MaxPool2d. is reached by 1x8x2x2"):
        augment(model, "0", heads=2, dk=8, dv=4, input_size=(3, 8, 8))


def test_a_convolution_that_forward_never_calls_is_refused():
    model = Model()
    model.spare = nn.Conv2d(3, 8, 3, padding=1)
    with pytest.raises(UsageError, match="does not call a chosen convolution.*'spare'"):
        augment(model, "spare", **SMALL)


def test_a_model_whose_own_code_needs_the_convolution_stays_whole():
    class Reading(Model):
        def forward(self, x):
            return super().forward(x) * self.second.weight.mean()

    model = Reading()
    with pytest.raises(UsageError, match="'AugmentedConv2d' object has no attribute 'weight'"):
        augment(model, "second", **SMALL)
    assert type(model.second) is nn.Conv2d
