"""build_network(): every name builds and runs, and what is wrong with a request is said."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from aabench.cases.network_catalogue import NETWORKS
from aabench.errors import UnknownName, UsageError
from aabench.networks.augmenting import augment, augmented_layers
from aabench.networks.building import build_network
from aabench.networks.wide_resnet import PreactivationBlock, WideResNet
from aabench.published.counting import count_network as cost
from aabench.published.printed import printed_rows
from aabench.published.rebuilds import rebuild_of

COUNTED_ELSEWHERE = {
    (rebuild_of(row).network, row.resolution)
    for row in printed_rows()
    if not rebuild_of(row).options
}
"""By tests/published/test_comparison.py: the networks of printed rows, at those rows' resolutions."""


def as_listed():
    """Every network of the catalogue and its plain counterpart, at the entry's resolution."""
    listed = {(entry.name, entry.resolution) for entry in NETWORKS}
    return listed | {(entry.plain, entry.resolution) for entry in NETWORKS if entry.plain}


@pytest.mark.parametrize(("name", "resolution"), sorted(as_listed() - COUNTED_ELSEWHERE))
def test_a_network_that_no_paper_prints_builds_and_runs_too(name, resolution):
    assert cost(name, resolution).flops > 0


def test_the_plain_network_beside_another_is_plain():
    plain = {entry.plain for entry in NETWORKS if entry.plain is not None}
    assert plain and {NETWORKS.entry(name).plain for name in plain} == {None}


def test_the_replication_augments_its_last_layers_only():
    with torch.device("meta"):
        model = build_network("replication-aa-wrn28-10")
        small = build_network("replication-aa-resnet34")
    maps = [each.layer.attention_resolution for each in augmented_layers(model)]
    assert maps == [(8, 8)] * 4
    assert [each.layer.attention_resolution for each in augmented_layers(small)] == [(1, 1)] * 3
    assert cost("replication-aa-nre-wrn28-10").params < cost("replication-aa-wrn28-10").params


@pytest.mark.parametrize("name", ["aa-resnet50", "resnet50", "timm:resnet50d", "aabench.x:y"])
def test_an_entry_says_at_which_resolution(name):
    assert NETWORKS.entry(name).resolution == 224


@pytest.mark.parametrize("name", ["debug-resnet", "aa-debug-resnet"])
def test_a_debug_network_learns_on_the_cpu(name):
    model = build_network(name, num_classes=4)
    loss = nn.functional.cross_entropy(model(torch.randn(2, 3, 32, 32)), torch.tensor([1, 3]))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_debug_network_is_augmented_like_its_big_sister():
    small = [each.name for each in augmented_layers(build_network("aa-debug-resnet"))]
    assert small == ["layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1"]


def test_a_network_built_for_a_resolution_takes_it_and_smaller_ones():
    model = build_network("aa-debug-resnet", resolution=(64, 48)).eval()
    assert augmented_layers(model)[0].layer.attention_resolution == (4, 3)
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 10)


def test_a_wide_block_with_attention_trains():
    model = WideResNet(1, 1, 10)
    augment(model, "groups.1.*.conv1", kappa="0.2", upsilon="0.1", heads=2, input_size=(3, 16, 16))
    model(torch.randn(2, 3, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_weightless_shortcut_pools_and_appends_zeros():
    block = PreactivationBlock(2, 5, 2, None)
    nn.init.zeros_(block.conv2.weight)
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    y = block(x)
    assert torch.equal(y[:, :2, 0, 0], torch.tensor([[2.5, 18.5]]))
    assert y.shape == (1, 5, 2, 2) and not y[:, 2:].any()


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("aa-resnet51", {}, "unknown network.*did you mean aa-resnet"),
        ("timm:resnet5O", {}, "timm has no model.*did you mean resnet50"),
        ("timm:hf-hub:someone/something", {}, "timm has no model"),
        ("torchvision:resnet5O", {}, "torchvision has no model.*did you mean"),
        ("no_such_module:build", {}, "cannot be imported"),
        ("collections:OrderedDict", {}, "builds no torch module; got 'OrderedDict'"),
        ("math:pi", {}, "no function"),
        ("math:sqrt", {}, "does not take these options: missing"),
        ("resnet50", {"kappa": 1}, "'kappa'.*allowed: num_classes"),
        ("aa-debug-resnet", {"kapa": 1}, "did you mean kappa"),
        ("aa-debug-resnet", {"resolution": 0}, "resolution is no positive count"),
        ("timm:resnet18", {"depth": 3}, "cannot be built: TypeError"),
    ],
)
def test_bad_requests_are_usage_errors(name, options, what):
    with torch.device("meta"), pytest.raises(UsageError, match=what):
        build_network(name, **options)


def test_an_unknown_name_offers_the_libraries():
    with pytest.raises(UnknownName, match="timm:NAME, torchvision:NAME, package.module:function"):
        NETWORKS.entry("alexnet")


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnext50_32x4d"])
def test_library_models_build_untrained(name):
    with torch.device("meta"):
        model = build_network(name, num_classes=7, resolution=64).eval()
        assert model(torch.empty(1, 3, 64, 64)).shape == (1, 7)


def test_a_depth_asked_for_replaces_the_published_ratio():
    with torch.device("meta"):
        model = build_network("aa-debug-resnet", dk=6, dv=2, attention="materialized")
    assert {(each.layer.dk, each.layer.dv) for each in augmented_layers(model)} == {(6, 2)}


def test_the_catalogue_loads_nothing_heavy():
    code = (
        "import sys; from aabench.cases.network_catalogue import NETWORKS; list(NETWORKS);"
        "assert not {'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
