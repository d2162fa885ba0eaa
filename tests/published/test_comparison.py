"""The papers' tables beside ours: every row computed, every difference explained, by true figures."""

import io
from dataclasses import replace

import pandas as pd
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import SEModule

from aabench.cases.network_catalogue import NETWORKS
from aabench.errors import AabenchError, UnknownName
from aabench.networks.building import build_network
from aabench.networks.wide_resnet import SqueezeExcite
from aabench.published import paper_table
from aabench.published.comparison import Figure, Verdict, compare, compare_row
from aabench.published.counting import count_model, count_network
from aabench.published.printed import FIGURES, printed_rows, rows_of, table_names
from aabench.published.rebuilds import REBUILDS, rebuild_of
from aabench.report.paper_table import paper_tables
from aabench.report.terminal import print_to


@pytest.fixture(scope="module")
def comparisons():
    return list(compare())


def test_every_printed_row_is_computed(comparisons):
    assert [each.row for each in comparisons] == list(printed_rows())
    assert len(comparisons) == len(FIGURES.read_text().splitlines()) - 1
    assert all(each.count.params > 0 and each.count.flops > 0 for each in comparisons)
    assert {each.rebuild.network for each in comparisons} <= set(NETWORKS.names())


def test_every_difference_is_explained(comparisons):
    for each in comparisons:
        if each.verdict in (Verdict.NEAR, Verdict.NOT_REPRODUCED):
            assert each.remarks[1 if each.rebuild.choice else 0 :], each.row.name
        not_reproduced = any(text.startswith("Not reproduced: ") for text in each.remarks)
        assert not_reproduced == (each.verdict is Verdict.NOT_REPRODUCED), each.row.name


def test_the_rows_not_reproduced_are_the_known_ones(comparisons):
    assert [each.network for each in comparisons if each.verdict is Verdict.NOT_REPRODUCED] == [
        "aa-wrn28-10",
        "aa-retinanet-resnet50",
        "aa-retinanet-resnet101",
    ]
    unprinted = {each.row.paper for each in comparisons if each.verdict is Verdict.NOT_PRINTED}
    assert unprinted == {"Replication"}
    assert sum(each.verdict is Verdict.AS_PRINTED for each in comparisons) >= 20


def test_no_rebuild_is_left_over():
    printed = {(row.paper, row.name) for row in printed_rows()}
    assert {(paper, name) for paper, rows in REBUILDS.items() for name in rows} <= printed


def test_a_count_that_fits_the_printed_figure_is_said_to_fit(comparisons):
    by_name = {each.row.name: each for each in comparisons if each.row.paper == "AA"}
    assert by_name["aa-resnet50"].remarks[0].endswith("8.34 GFLOP, the printed figure.")
    assert by_name["aa-resnet152"].remarks[0].endswith("23.89 GFLOP.")
    assert by_name["resnet50"].remarks == ()


@pytest.mark.parametrize("width", [80, 160])
def test_every_table_fits_its_terminal(comparisons, width):
    stream = io.StringIO()
    print_to(stream, lambda cells: paper_tables(comparisons, width=cells), width=width)
    assert max(map(len, stream.getvalue().splitlines())) <= width


def gate_flops(name, resolution):
    """Additions of the poolings and multiplications of the rescalings of squeeze-excite."""
    pixels = 0

    def note(_gate, inputs, _output):
        nonlocal pixels
        pixels += inputs[0].numel()

    with torch.device("meta"):
        model = build_network(name, resolution=resolution).eval()
        for module in model.modules():
            if isinstance(module, SEModule):
                module.register_forward_hook(note)
        with torch.no_grad():
            model(torch.empty(1, 3, resolution, resolution))
    return 2 * pixels


def test_what_the_remarks_say_of_squeeze_excite():
    flops = count_network("se-resnet152").flops
    gates = gate_flops("se-resnet152", 224)
    assert f"{gates / 1e9:.2f}" == "0.03"
    assert f"{(flops + gates) / 1e9:.2f}" == "23.07"
    detector = count_network("se-retinanet-resnet50").flops
    assert f"{(detector + gate_flops('se-retinanet-resnet50', 640)) / 1e9:.1f}" == "182.4"
    with torch.device("meta"):
        model = build_network("se-wrn28-10")
    biases = sum(
        gate.squeeze.out_channels + gate.excite.out_channels
        for gate in model.modules()
        if isinstance(gate, SqueezeExcite)
    )
    assert f"{(count_network('se-wrn28-10').params + biases) / 1e6:.3f}" == "36.552"


def test_what_the_remarks_say_of_other_networks():
    with torch.device("meta"):
        plain = torchvision.models.resnet34().eval()
        without_projection = count_model(plain, torch.empty(1, 3, 224, 224))
    assert f"{without_projection.flops / 1e9:.2f}" == "7.33"
    assert f"{count_network('resnet34').flops / 1e9:.2f}" == "7.35"
    assert round(count_network("mnasnet-1.0").flops / 2e6) == 312
    assert f"{count_network('mnasnet-1.4').params / 1e6:.3f}" == "6.106"
    assert f"{count_network('bot-resnet50', 224).params / 1e6:.2f}" == "20.85"
    skewed = count_network("bot-resnet50", attention="materialized")
    assert f"{skewed.flops / 1e9:.2f}" == "205.98"


@pytest.mark.parametrize(
    ("depth", "params", "gflops"), [(50, "33.01", "184.7"), (101, "51.68", "250.7")]
)
def test_what_the_remarks_say_of_fewer_heads(depth, params, gflops):
    built = count_network(f"aa-retinanet-resnet{depth}", heads=2)
    text = rebuild_of(rows_of(["aa-5"])[2 if depth == 50 else 4]).difference
    assert f"{params}M and {gflops} GFLOP" in text
    assert f"{built.params / 1e6:.2f}" == params
    assert f"{built.flops / 1e9:.1f}" == gflops


@given(st.decimals(min_value="0.5", max_value=500, places=2))
@settings(deadline=None, max_examples=30)
def test_a_figure_agrees_with_itself_and_with_nothing_a_digit_off(value):
    printed = str(value)
    figure = Figure(printed, float(printed) + 0.004)
    assert figure.is_as_printed and figure.decimals == 2
    assert figure.is_near(0.01) and figure.difference == pytest.approx(0.004)
    off = replace(figure, ours=float(printed) + 0.02)
    assert not off.is_as_printed and not off.is_near(0.01 / float(printed))


def test_figures_that_are_not_printed():
    figure = Figure("", 3.2)
    assert figure.difference is None and not figure.is_as_printed and not figure.is_near(1)
    row = rows_of(["aa-1"])[0]
    assert compare_row(replace(row, gflops="")).verdict is Verdict.NOT_PRINTED
    with pytest.raises(AabenchError, match="no network of ours is known for the rows of Nobody"):
        compare_row(replace(row, paper="Nobody"))


@pytest.mark.parametrize(
    ("asked", "papers"),
    [(["aa-3"], {"aa-3"}), (["AA 3", "sasa"], {"aa-3", "sasa-1"}), ([], set(table_names()))],
)
def test_tables_by_name(asked, papers):
    assert {row.table_name for row in rows_of(asked)} == papers


def test_an_unknown_table_offers_the_nearest():
    with pytest.raises(UnknownName, match="'sasa-2'.*did you mean sasa"):
        rows_of(["aa-1", "sasa-2"])


def test_the_frame_holds_exact_counts_and_printed_figures():
    frame = paper_table("AA 6", "replication")
    row = frame.iloc[0]
    assert (row["network"], row["options"]) == ("aa-resnet50", "kappa=0.25 upsilon=0.25")
    assert row["flops"] == count_network("aa-resnet50", kappa="0.25", upsilon="0.25").flops
    assert row["gflops_difference"] == pytest.approx(row["flops"] / 1e9 - 7.9, abs=1e-8)
    assert row["params_m_difference"] == pytest.approx(row["params"] / 1e6 - 24.3, abs=1e-8)
    assert pd.api.types.is_integer_dtype(frame["params"])
    unprinted = frame[frame["table"] == "replication-2"]
    assert unprinted["published_gflops"].isna().all()
    assert unprinted["published_accuracy"].tolist() == [86.99, 86.76, 89.10, 88.40, 88.19]
