"""The layer's step: an augmented convolution forward, backward and its optimiser, told on a timeline.

The order is that of the layer and of autograd: attention first, then the convolution; backward
through the convolution first. A tensor goes when the last reference to it goes.
"""

from __future__ import annotations

import numpy as np

from aabench.cost.attended import AttendedBranch, is_contiguous_slice
from aabench.cost.attention import AttentionForm
from aabench.cost.cast_convolution import CastConvolution
from aabench.cost.columns import Column
from aabench.cost.groups import Setting
from aabench.cost.shapes import ENCODING_INPUT, LayerShapes
from aabench.cost.timeline import (
    CUDA_GRANULE,
    GRADIENTS,
    INPUT,
    OPTIMIZER_STATE,
    OUTPUT,
    PARAMETERS,
    TARGET,
    WORKSPACE,
    Block,
    Timeline,
)

OPTIMIZER_STATES = {"sgd": 0, "sgd-momentum": 1, "adam": 2, "adamw": 2}
"""Tensors of a parameter's size that an optimiser keeps for it."""

STEP_COUNT_BYTES = 4
"""What Adam counts its steps in, once a parameter."""


class LayerStep:
    """One step of the layers of a group.

    Args:
        setting: what they share.
        shapes: their parts.
        form: the attention's closed form; None without attention.

    Attributes:
        memory: the timeline, told to its end.
        base: bytes alive before the step.
        begin: the moment of the timeline at which the step begins.
        saved: the blocks that the forward pass leaves for the backward pass, output apart; none in
            inference.

    """

    def __init__(self, setting: Setting, shapes: LayerShapes, form: AttentionForm | None) -> None:
        self._setting, self._shapes = setting, shapes
        self._execution = setting.execution
        self.memory = Timeline(
            len(shapes.inputs),
            granule=CUDA_GRANULE if self._execution.device_type == "cuda" else 1,
            dtype=shapes.inputs.dtype,
        )
        self._allocate_base()
        self.base: Column = self.memory.live
        self.begin = self.memory.moment
        self.saved: list[Block] = []
        self._attended: AttendedBranch | None = None
        self._convolved: CastConvolution | None = None
        self._forward(form)
        if setting.trains:
            self._optimize(self._backward())

    def _allocate_base(self) -> None:
        setting, memory, shapes = self._setting, self.memory, self._shapes
        states = OPTIMIZER_STATES[setting.optimizer] if setting.mode == "train" else 0
        memory.allocate(INPUT, shapes.inputs * self._execution.stored)
        for elements in shapes.parameters:
            memory.allocate(PARAMETERS, elements * self._execution.stored)
            for _ in range(states):
                memory.allocate(OPTIMIZER_STATE, elements * self._execution.stored)
            if states > 1:
                memory.allocate(OPTIMIZER_STATE, np.full_like(elements, STEP_COUNT_BYTES))
        if setting.trains:
            memory.allocate(TARGET, shapes.outputs * self._execution.computed)

    def _forward(self, form: AttentionForm | None) -> None:
        setting, memory = self._setting, self.memory
        before = len(memory.alive())
        cast_input = self._cast_input()
        outputs = []
        if form is not None:
            self._attended = AttendedBranch(setting, self._shapes, form, memory, cast_input)
            outputs.append(self._attended.output)
        if self._shapes.convolution is not None:
            self._convolved = CastConvolution(
                self._shapes.convolution,
                memory,
                self._execution,
                trains=setting.trains,
                input_block=cast_input,
                casts_input=self._execution.casts and cast_input is None,
            )
            outputs.append(self._convolved.output)
        self._output = self._concatenated(outputs)
        if cast_input is not None:
            memory.free(cast_input)
        if setting.trains:
            self.saved = [block for block in memory.alive()[before:] if block is not self._output]

    def _cast_input(self) -> Block | None:
        """The input as autocast keeps it for every reader, because it is a leaf that trains."""
        if not self._setting.trains or not self._shares_cast():
            return None
        return self.memory.allocate(INPUT, self._shapes.inputs * self._execution.computed)

    def _shares_cast(self) -> bool:
        """Whether autocast casts the layer's input once for convolution and attention alike."""
        setting = self._setting
        changes_input = setting.pools or setting.position in ENCODING_INPUT
        return self._execution.casts and not changes_input

    def _concatenated(self, outputs: list[Block]) -> Block:
        if len(outputs) == 1:
            return outputs[0]
        whole = self.memory.allocate(OUTPUT, self._shapes.outputs * self._execution.computed)
        self.memory.free(*outputs)
        return whole

    def _backward(self) -> list[Block]:
        """Gradients of all parameters, and of the input; the output goes last."""
        memory = self.memory
        weights: list[Block] = []
        of_input = None
        joined = self._attended is not None and self._convolved is not None
        is_slice = joined and not is_contiguous_slice(self._setting)
        if self._convolved is not None:
            gradient = None
            if is_slice:
                gradient = memory.allocate(GRADIENTS, self._convolved.output.size)
            of_input, of_weight = self._convolved.backward(gradient)
            weights.append(of_weight)
            if self._execution.casts and not self._shares_cast():
                of_input = self._cast_gradient(of_input)
        if self._attended is not None:
            more, of_weights = self._attended.backward(is_slice)
            weights += of_weights
            if of_input is None:
                of_input = more
            else:
                memory.free(more)
        assert of_input is not None
        if self._shares_cast():
            self._cast_gradient(of_input)
        return weights

    def _cast_gradient(self, gradient: Block) -> Block:
        """The gradient of the input as it was before autocast."""
        stored = self.memory.allocate(GRADIENTS, self._shapes.inputs * self._execution.stored)
        self.memory.free(gradient)
        return stored

    def _optimize(self, gradients: list[Block]) -> None:
        """Update each parameter in turn; Adam makes its denominator from two temporary tensors."""
        if self._setting.mode != "train" or OPTIMIZER_STATES[self._setting.optimizer] < 2:
            return
        memory, before = self.memory, None
        for gradient in gradients:
            root = memory.allocate(WORKSPACE, gradient.size)
            denominator = memory.allocate(WORKSPACE, gradient.size)
            memory.free(root, *([before] if before else []))
            before = denominator
