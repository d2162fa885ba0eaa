"""What positions that change the attention's input cost: their own bytes, weights and products."""

import pytest
import torch

from aabench.cases.case import Case, Layer
from aabench.cost.columns import LayerColumns
from aabench.cost.explain import explain
from aabench.cost.layers import predict_layers
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.runs.subject import build_subject

# Many input channels and little attention, so that the encoded input is what fills the peak.
ENCODED = {
    "autocast": ("amp-bf16", Layer(128, 16, 1, 1, 1, 2, 8, 8, "sine", 28, 20), 3),
    "autocast, three more channels": (
        "amp-bf16",
        Layer(128, 16, 1, 1, 1, 2, 8, 8, "coordconv", 28, 20),
        3,
    ),
    "pooled": ("fp32", Layer(64, 16, 1, 2, 1, 1, 4, 4, "sine", 24, 20), 3),
    "pooled, three more channels": (
        "amp-bf16",
        Layer(256, 16, 1, 2, 1, 1, 4, 4, "coordconv", 10, 9),
        3,
    ),
    "one image": ("fp32", Layer(512, 16, 1, 1, 1, 1, 4, 4, "sine", 10, 9), 1),
}


@pytest.mark.parametrize("mode", ["infer", "forward-backward"])
@pytest.mark.parametrize(("precision", "layer", "batch"), ENCODED.values(), ids=ENCODED)
def test_the_peak_is_the_allocators(precision, layer, batch, mode):
    case = Case(layer, batch, mode, precision, "broadcast")
    columns = LayerColumns.from_cases([case], "cpu", torch.get_num_threads())
    predicted = predict_layers(columns)["predicted_step_peak_bytes"][0]
    subject = build_subject(case, torch.device("cpu"), seed=0)
    real = measure_cpu_memory(subject, subject.base_tensors)
    assert predicted == pytest.approx(real.step_peak_bytes, rel=0.002)


def cost_of(position, **changes):
    layer = Layer(10, 24, 3, 1, 1, 2, 12, 8, position, 9, 7)
    return explain(Case(layer, 2, "infer", "fp32", "broadcast"), **changes).figures


def test_three_more_channels_go_into_keys_queries_and_values_alone():
    bare, coordconv = cost_of("none"), cost_of("coordconv")
    weights = 3 * (2 * 12 + 8)
    assert coordconv["params"] - bare["params"] == weights
    assert coordconv["macs"] - bare["macs"] == weights * 2 * 9 * 7


def test_waves_have_no_weights_and_no_products():
    bare, sine = cost_of("none"), cost_of("sine")
    assert sine["params"] == bare["params"]
    assert sine["macs"] == bare["macs"]
