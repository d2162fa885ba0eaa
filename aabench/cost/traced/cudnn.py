"""cuDNN's share of a traced step: the most that it may take in any of its convolutions."""

from __future__ import annotations

from math import prod

from aabench.cost.cuda_rules import cudnn_most_bytes
from aabench.cost.execution import ITEM_SIZES
from aabench.cost.traced.traced_step import TracedStep


def step_cudnn_bytes(step: TracedStep) -> int:
    """The most bytes that cuDNN may take for a moment, wherever in a step that is; 0 on the CPU."""
    if step.settings.device_type != "cuda":
        return 0
    item = ITEM_SIZES[step.settings.precision][1]
    sizes = [
        cudnn_most_bytes(
            prod(module.input_shape), prod(module.output_shape), module.params, module.kernel_size
        )
        for module in step.modules
        if module.kernel_size is not None and module.input_shape and module.output_shape
    ]
    return item * max(map(int, sizes), default=0)
