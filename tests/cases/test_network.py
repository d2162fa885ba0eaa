"""Networks as subjects of a grid: their one name, their settings, and what they are compared with."""

import json

import pytest

from aabench.cases.case import Case
from aabench.cases.grid import Grid
from aabench.cases.network_catalogue import NETWORKS
from aabench.errors import UnknownName, UsageError


def entries_of(**axes):
    return list(Grid.of(axes).entries())


def network_of(**axes):
    (entry,) = entries_of(**axes)
    return entry.case.network


def test_a_network_has_its_papers_resolution_unless_told():
    sides = {
        e.case.network.name: e.case.network.height
        for e in entries_of(network="aa-wrn28-10,resnet50")
    }
    assert sides == {"aa-wrn28-10": 32, "resnet50": 224}
    assert network_of(network="resnet50", resolution="96x128").width == 128


def test_settings_that_a_network_lacks_make_no_difference_and_are_said():
    plain, other = entries_of(network="resnet50", kappa="0.1,0.2")
    assert plain.case.key == other.case.key
    assert plain.notes == ("resnet50 has no kappa to be changed",)
    first, second = entries_of(network="aa-resnet50", kappa="0.1,0.2")
    assert first.case.key != second.case.key
    assert first.case.network.settings == {"kappa": "0.1"}


def test_kappa_is_one_number_however_it_is_written():
    keys = {
        network.case.key for network in entries_of(network="aa-resnet50", kappa=[0.2, ".20", "0.2"])
    }
    assert len(keys) == 1


def test_a_form_is_dropped_where_there_is_no_attention_to_compute():
    (plain,) = entries_of(network="resnet50", attention="blocked")
    (local,) = entries_of(network="sasa-resnet26", attention="blocked")
    (augmented,) = entries_of(network="aa-resnet50", attention="blocked")
    assert [e.case.attention for e in (plain, local, augmented)] == ["none", "local", "blocked"]


@pytest.mark.parametrize(
    ("axes", "plain"),
    [
        ({"network": "aa-resnet50", "kappa": 0.5}, "resnet50"),
        ({"network": "timm:resnet18", "augment": "layer4.*conv2"}, "timm:resnet18"),
        ({"network": "aa-resnet50", "augment": "layer1.*conv2"}, "aa-resnet50"),
    ],
)
def test_what_a_network_is_compared_with(axes, plain):
    (entry,) = entries_of(**axes)
    other = entry.case.plain()
    assert other.network.name == plain
    assert not other.network.settings and not other.network.augment
    assert other.batch == entry.case.batch and other.network.height == entry.case.network.height


def test_a_plain_network_is_compared_with_nothing():
    assert entries_of(network="resnet50")[0].case.is_plain


def test_an_augmentation_has_the_ratios_of_a_layer_and_a_downsampling_by_pattern():
    network = network_of(
        network="timm:resnet18", augment="layer2.*conv2@2+layer3.*conv2", downsample=4
    )
    assert network.settings["kappa"] == network.settings["upsilon"] == "0.25"
    assert network.patterns == {"layer2.*conv2": 2, "layer3.*conv2": 4}


def test_network_cases_survive_json_and_keys_tell_them_apart():
    cases = [
        e.case
        for e in entries_of(network="aa-resnet50,aa-wrn28-10", heads="4,8", mode="infer,train")
    ]
    assert len({case.key for case in cases}) == len(cases) == 8
    assert [Case.from_dict(json.loads(json.dumps(case.to_dict()))) for case in cases] == cases


def test_a_network_grid_survives_its_own_json():
    grid = Grid.of({"network": "aa-resnet50", "upsilon": "0.1,0.2", "resolution": "64"})
    assert Grid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid


@pytest.mark.parametrize(
    ("axes", "clue"),
    [
        ({"network": "resnet50", "in_channels": 64}, "--in-channels is an axis of single layers"),
        ({"augment": "layer4.*"}, "--augment is for networks"),
        ({"image_channels": 1}, "--image-channels is for networks"),
        ({"network": "resnet50", "augment": "layer4.*conv2@0"}, "not a pattern"),
        ({"network": "resnet50", "augment": "a++b"}, "not a pattern"),
        ({"network": "aa-resnet50", "kappa": 0.1, "dk": 8}, "two ways to say the same"),
    ],
)
def test_axes_that_do_not_go_together_are_refused(axes, clue):
    with pytest.raises(UsageError, match=clue):
        Grid.of(axes)


def test_an_unknown_network_offers_the_nearest():
    with pytest.raises(UnknownName, match="aa-resnet50"):
        Grid.of({"network": "aa-resnet5"})


def test_every_plain_network_is_a_network():
    for entry in NETWORKS:
        assert entry.plain is None or NETWORKS.entry(entry.plain).plain is None


@pytest.mark.parametrize(
    ("axes", "clue"),
    [
        (
            {"layer": "local", "in_channels": 24, "heads": 8},
            "do not divide 24 channels into halves",
        ),
        ({"layer": "local", "kernel_size": 4}, "kernel size 4 is even"),
        ({"layer": "bottleneck", "in_channels": 20, "heads": 8}, "8 heads do not divide 20"),
    ],
)
def test_impossible_layers_of_other_kinds_say_why(axes, clue):
    assert all(clue in entry.problem for entry in Grid.of(axes).entries())


def test_layers_of_other_kinds_are_as_deep_as_their_output():
    local, bottleneck = (e.case.layer for e in entries_of(layer="local,bottleneck", in_channels=64))
    assert (local.kernel_size, local.dk, local.dv) == (7, 64, 64)
    assert (bottleneck.kernel_size, bottleneck.dk, bottleneck.dv) == (1, 64, 64)
    assert local.plain() == bottleneck.plain()
    assert local.plain().kernel_size == 3
