"""Closed-form counts against what other people's counters see of the real layer."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
from drawn_layers import FORMS, draw_case, draw_layer
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from aabench.cases.case import Case, Layer
from aabench.cases.catalogue import POSITIONS
from aabench.cost.explain import explain
from aabench.runs.model import build_model


def input_of(case: Case, device: str, **options: bool) -> torch.Tensor:
    layer = case.layer
    shape = (case.batch, layer.in_channels, layer.height, layer.width)
    return torch.ones(shape, device=device, **options)


def torch_macs(case: Case, device: str) -> int:
    """Multiply-accumulates of a step by torch's counter."""
    layer = build_model(case, torch.device(device))
    trains = case.mode != "infer"
    with torch.set_grad_enabled(trains), FlopCounterMode(display=False) as counter:
        output = layer(input_of(case, device, requires_grad=trains))
        if trains:
            output.backward(torch.ones_like(output))
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(6))
def test_macs_equal_torchs_counter_on_meta(form: str, seed: int) -> None:
    case = draw_case(random.Random(f"{form}/{seed}"), forms=(form,))
    for mode in ("infer", "forward-backward"):
        asked = replace(case, mode=mode).canonical()
        figures = explain(asked, "meta").figures
        assert figures["macs"] == torch_macs(asked, "meta"), asked
        assert figures["flops"] == 2 * figures["macs"]


@pytest.mark.parametrize("mode", ["infer", "forward-backward"])
@pytest.mark.parametrize("position", ["relative", "none"])
def test_macs_of_cpu_kernels_include_padding_and_recomputation(position: str, mode: str) -> None:
    layer = Layer(10, 24, 3, 1, 1, 2, 12, 8, position, 9, 7)
    case = Case(layer, 2, mode, "fp32", "sdpa-bias")
    q = torch.ones(1, 1, 2, 4)
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.scaled_dot_product_attention(q, q, q)
    if not counter.get_total_flops():
        pytest.skip("this torch does not count its fused CPU kernel (pytorch#195460)")
    assert explain(case, "cpu").figures["macs"] == torch_macs(case, "cpu")


def fvcore_macs(case: Case) -> float:
    """Multiply-accumulates of a forward pass by fvcore, with handles for what it does not know.

    fvcore counts 1 per multiply-accumulate. Its own einsum rule reads a number that numpy printed
    with four digits, so it gets an exact one; it counts interpolation as 4 a pixel, which is none
    of ours; it does not know fused attention. Its trace cannot take `blocked`, an autograd function.
    """
    layer = build_model(case, torch.device("cpu")).eval()
    analysis = FlopCountAnalysis(layer, input_of(case, "cpu"))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.set_op_handle("aten::einsum", exact_einsum)
    analysis.set_op_handle("aten::upsample_bilinear2d", nothing)
    analysis.set_op_handle("aten::scaled_dot_product_attention", attention_products)
    return float(analysis.total())


def exact_einsum(inputs: list[object], outputs: list[object]) -> float:
    """Every index that occurs, once: the position products sum over one index only."""
    equation = inputs[0].toIValue()
    operands = equation.split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for indices, value in zip(operands, inputs[1].node().inputs(), strict=True):
        sizes |= dict(zip(indices, value.type().sizes(), strict=True))
    return float(math.prod(sizes.values()))


def nothing(inputs: list[object], outputs: list[object]) -> float:
    return 0.0


def attention_products(inputs: list[object], outputs: list[object]) -> float:
    q, k, v = (value.type().sizes() for value in inputs[:3])
    return float(math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1]))


@pytest.mark.parametrize("form", [form for form in FORMS if form != "blocked"])
@pytest.mark.parametrize("position", POSITIONS.names())
@pytest.mark.parametrize("downsample", [1, 2])
def test_forward_macs_equal_fvcores_count(form: str, position: str, downsample: int) -> None:
    layer = Layer(10, 24, 3, 1, downsample, 2, 12, 8, position, 8, 10)
    case = Case(layer, 2, "infer", "fp32", form)
    # fvcore traces with gradients on, where the masked attention is torch's unpadded math kernel.
    device = "meta" if position == "relative" else "cpu"
    assert explain(case, device).figures["macs"] == fvcore_macs(case)


@pytest.mark.parametrize("seed", range(12))
def test_parameters_and_common_forward_count(seed: int) -> None:
    layer = draw_layer(random.Random(seed))
    case = Case(layer, 3, "infer", "fp32", "broadcast").canonical()
    cost = explain(case)
    module = build_model(case, torch.device("meta"))
    assert cost.figures["params"] == sum(parameter.numel() for parameter in module.parameters())
    # `broadcast` does what the form-independent count says, and nothing else.
    if layer.dk != layer.heads or layer.position != "relative" or layer.is_plain:
        assert cost.figures["flops_forward"] == cost.figures["flops"]
    for form in ("materialized", "sdpa-bias"):
        other = explain(replace(case, attention=form)).figures
        assert other["flops_forward"] == cost.figures["flops_forward"]
        assert other["params"] == cost.figures["params"]


def test_sizes_of_the_published_layer() -> None:
    """The change in parameters that the paper gives, plus both tables (Bello et al. 2019, 3.3)."""
    fin = fout = 256
    dk, dv, heads, kernel, side = 80, 64, 8, 3, 14
    layer = Layer(fin, fout, kernel, 1, 1, heads, dk, dv, "relative", side, side)
    kappa, upsilon = dk / fout, dv / fout
    change = fin * fout * (2 * kappa + (1 - kernel**2) * upsilon + (fout / fin) * upsilon**2)
    tables = 2 * (2 * side - 1) * dk // heads
    case = Case(layer, 1, "infer", "fp32", "broadcast")
    plain = explain(case.plain()).figures["params"]
    assert plain == fin * fout * kernel**2
    assert explain(case).figures["params"] == plain + round(change) + tables


def test_parts_add_up() -> None:
    case = Case(
        Layer(10, 24, 3, 2, 2, 2, 12, 8, "relative", 20, 17), 3, "train", "fp32", "broadcast"
    )
    cost = explain(case.canonical())
    assert [part.name for part in cost.parts] == [
        "convolution",
        "kqv",
        "logits",
        "position logits",
        "softmax",
        "values",
        "mix",
    ]
    assert sum(part.params for part in cost.parts) == cost.figures["params"]
    assert sum(part.macs_step for part in cost.parts) == cost.figures["macs"]
    assert sum(part.macs_forward for part in cost.parts) == cost.figures["macs_forward"]
    assert sum(part.bytes_saved for part in cost.parts) == cost.figures["saved_bytes"]
    assert sum(cost.peak.values()) == cost.figures["predicted_peak_bytes"]
