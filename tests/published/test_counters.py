"""Three counters on whole networks: they agree, and what fvcore counts besides is named."""

import pytest
import torch
from torch import nn

from aabench.cases.network_catalogue import NETWORKS
from aabench.networks.building import build_network
from aabench.published.closed_forms import closed_form_macs
from aabench.published.counters import (
    CounterComparison,
    Subject,
    compare_counters,
    counter_frame,
    subjects,
)
from aabench.published.counting import counted_form, forward_flops
from aabench.published.fvcore_count import FvcoreCount


def built_on_meta(name, side):
    with torch.device("meta"):
        model = build_network(name, resolution=side, **counted_form(name, {})).eval()
        return model, torch.empty(2, 3, side, side)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("aa-debug-resnet", 48),
        ("se-resnet34", 64),
        ("aa-resnet50", 96),
        ("ge-wrn28-10", 32),
        ("aa-nre-wrn28-10", 16),
        ("aa-mnasnet-0.75", 96),
        ("aa-retinanet-resnet50", 128),
        ("sasa-resnet26-full", 64),
        ("bot-resnet50", 96),
        ("replication-aa-resnet34", 32),
    ],
)
def test_the_sum_of_closed_forms_is_torchs_count(name, side):
    model, images = built_on_meta(name, side)
    assert 2 * closed_form_macs(model, images) == forward_flops(model, images)


def test_closed_forms_leave_no_hooks_and_count_smaller_images():
    model, images = built_on_meta("aa-debug-resnet", 48)
    first = closed_form_macs(model, images)
    assert closed_form_macs(model, images) == first
    smaller = torch.empty(1, 3, 32, 32, device="meta")
    assert 2 * closed_form_macs(model, smaller) == forward_flops(model, smaller)


@pytest.fixture(scope="module")
def compared():
    small = [
        Subject("debug-resnet", 32),
        Subject("aa-debug-resnet", 32),
        Subject("sasa-resnet26", 32),
    ]
    told = []
    comparisons = list(compare_counters(small, started=told.append))
    assert told == [subject.network for subject in small]
    return comparisons


def test_fvcore_counts_batch_norm_and_pooling_besides_and_nothing_unexplained(compared):
    for each in compared:
        assert each.closed_form_macs == each.traced_macs
        assert each.fvcore is not None and each.unexplained_macs == 0, each.why
        assert each.why.startswith("batch norm +")
        difference = each.fvcore.total - each.traced_macs
        rounding = each.fvcore.products - each.traced_macs
        assert difference == sum(each.fvcore.extras.values()) + rounding
    assert "einsum" not in compared[0].why


def test_the_frame_has_a_row_for_each(compared):
    frame = counter_frame(compared)
    assert frame["network"].tolist() == ["debug-resnet", "aa-debug-resnet", "sasa-resnet26"]
    assert (frame["closed_forms_difference"] == 0).all()
    assert (frame["macs_fvcore"] - frame["macs_traced"] == frame["fvcore_difference"]).all()


def test_what_no_one_can_explain_is_said(compared):
    fvcore = FvcoreCount({"conv": 1000, "batch_norm": 7})
    odd = CounterComparison(compared[0].subject, 1, 990, 990, fvcore)
    assert odd.unexplained_macs == 10
    assert odd.why == "batch norm +7, unexplained +10"


class Untraceable(nn.Module):
    """A network whose output torch's tracer refuses."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return object() if torch.jit.is_tracing() else self.layer(x)


def test_a_network_that_fvcore_cannot_trace_is_counted_by_the_others():
    (only,) = compare_counters([Subject(f"{__name__}:Untraceable", 8)])
    assert only.fvcore is None and only.why.startswith("fvcore cannot trace it: ")
    assert only.traced_macs == only.closed_form_macs == 12 * 64
    assert counter_frame([only])["macs_fvcore"].isna().all()


def test_subjects_are_all_listed_networks_or_those_of_the_tables():
    assert [subject.network for subject in subjects()] == NETWORKS.names()
    of_tables = subjects(["aa-6", "botnet-1"])
    assert [(each.network, each.resolution, dict(each.options)) for each in of_tables] == [
        ("aa-resnet50", 224, {"kappa": "0.25", "upsilon": "0.25"}),
        ("aa-resnet50", 224, {"kappa": "1", "upsilon": "1"}),
        ("resnet50", 1024, {}),
        ("bot-resnet50", 1024, {}),
    ]
