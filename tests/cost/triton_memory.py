"""Print, as JSON, what the form `triton` allocates in Triton's interpreter, and what is predicted.

The kernels' own loads are no tensors of torch, so that torch's allocator sees on the CPU what it would
see on a card. A process of its own: ``TRITON_INTERPRET`` must be set before the kernels are imported.
"""

import gc
import json
import os

os.environ["TRITON_INTERPRET"] = "1"

import torch

from aabench.cases.case import Case, Layer
from aabench.cost.columns import LayerColumns
from aabench.cost.layers import predict_layers
from aabench.cost.triton import TritonForm
from aabench.layers.attention import triton
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.runs.subject import build_subject

CASES = {
    "relative": (Layer(16, 16, 1, 1, 1, 2, 40, 8, "relative", 6, 6), 2),
    "no positions": (Layer(16, 16, 1, 1, 1, 2, 40, 8, "none", 6, 6), 2),
    "wide": (Layer(8, 24, 1, 1, 1, 4, 32, 16, "relative", 2, 20), 1),
}


def without_garbage(launch):
    """The interpreter leaves cycles that hold its arguments: a compiled kernel leaves nothing."""

    def launched(*arguments):
        launch(*arguments)
        gc.collect()

    return launched


def compared(layer: Layer, batch: int, mode: str) -> tuple[int, int, int]:
    """Bytes of the step's peak, as predicted and as allocated, and those of the position tables."""
    case = Case(layer, batch, mode, "fp32", "triton")
    predicted = predict_layers(LayerColumns.from_cases([case], "cpu", 1))
    subject = build_subject(case, torch.device("cpu"), seed=0)
    real = measure_cpu_memory(subject, subject.base_tensors)
    assert subject.model.position is not None
    tables = sum(table.nbytes for table in subject.model.position.parameters())
    return int(predicted["predicted_step_peak_bytes"][0]), real.step_peak_bytes, tables


if __name__ == "__main__":
    torch.set_num_threads(1)
    triton._launch = without_garbage(triton._launch)
    TritonForm.knows_memory = lambda self, device_type: True
    found = {
        f"{name}, {mode}": compared(layer, batch, mode)
        for name, (layer, batch) in CASES.items()
        for mode in ("infer", "forward-backward")
    }
    print(json.dumps(found))
