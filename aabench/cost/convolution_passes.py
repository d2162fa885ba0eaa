"""The passes of a convolution: what each allocates and frees, in order."""

from __future__ import annotations

from aabench.cost.convolution import Convolution
from aabench.cost.convolution_copies import (
    forward_copies,
    input_gradient_copies,
    weight_gradient_copies,
)
from aabench.cost.execution import Execution
from aabench.cost.timeline import GRADIENTS, OUTPUT, WORKSPACE, Block, Timeline


class ConvolutionPasses:
    """The passes of a convolution, told on a timeline.

    Elsewhere than on the CPU only inputs and results are known: what cuDNN takes as workspace is
    not.

    Args:
        convolution: its sizes.
        memory: where its passes are told.
        execution: where and in which numbers it runs.
        in_steps: whether to tell what grows with the batch in steps, too: the sums beside
            single-precision gradients of weights. A trace leaves them out, because it derives other
            batches from two by even growth.

    """

    def __init__(
        self,
        convolution: Convolution,
        memory: Timeline,
        execution: Execution,
        *,
        in_steps: bool = False,
    ) -> None:
        self._convolution, self._memory, self._execution = convolution, memory, execution
        self._in_steps = in_steps
        self._item = execution.computed

    def forward(self, kind: str = OUTPUT) -> Block:
        """Compute the output, a block of this kind."""
        memory, size = self._memory, self._convolution.outputs * self._item
        if not self._execution.on_cpu:
            return memory.allocate(kind, size)
        copies = forward_copies(self._convolution, self._execution)
        if self._execution.channels_last:
            output = memory.allocate(kind, size)
            memory.scratch(WORKSPACE, copies.weight)
            return output
        columns = memory.allocate(WORKSPACE, copies.columns)
        scratch, source, weight, result = (
            memory.allocate(WORKSPACE, copy)
            for copy in (copies.scratch, copies.source, copies.weight, copies.result)
        )
        memory.free(weight, source, scratch)
        output = memory.allocate(kind, size)
        memory.free(result, columns)
        return output

    def backward_input(self) -> Block:
        """The gradient of the input, from a contiguous gradient of the output."""
        memory, size = self._memory, self._convolution.inputs * self._item
        if not self._execution.on_cpu:
            return memory.allocate(GRADIENTS, size)
        copies = input_gradient_copies(self._convolution, self._execution)
        if self._execution.channels_last:
            gradient = memory.allocate(GRADIENTS, size)
            weight = memory.allocate(WORKSPACE, copies.weight)
            if self._convolution.is_strided:
                memory.scratch(WORKSPACE, copies.scratch)
            memory.free(weight)
            return gradient
        result, weight, source = (
            memory.allocate(WORKSPACE, copy)
            for copy in (copies.result, copies.weight, copies.source)
        )
        memory.scratch(WORKSPACE, copies.scratch)
        memory.free(weight, result)
        laid_out = [source]
        if self._convolution.is_strided:
            # Strided kernels give channels last, which is copied out of the library, and then over.
            laid_out.append(memory.allocate(WORKSPACE, copies.source))
        gradient = memory.allocate(GRADIENTS, size)
        memory.free(*laid_out)
        return gradient

    def backward_weight(self) -> Block:
        """The gradient of the weight, from a contiguous gradient of the output."""
        memory, size = self._memory, self._convolution.weights * self._item
        if not self._execution.on_cpu:
            return memory.allocate(GRADIENTS, size)
        copies = weight_gradient_copies(self._convolution, self._execution, in_steps=self._in_steps)
        if self._execution.channels_last:
            weight = memory.allocate(WORKSPACE, copies.weight)
            memory.scratch(WORKSPACE, copies.scratch)
            plain = memory.allocate(WORKSPACE, size)
            gradient = memory.allocate(GRADIENTS, size)
            memory.free(plain, weight)
            return gradient
        result, source, weight = (
            memory.allocate(WORKSPACE, copy)
            for copy in (copies.result, copies.source, copies.weight)
        )
        memory.scratch(WORKSPACE, copies.scratch)
        memory.free(source, result)
        gradient = memory.allocate(GRADIENTS, size)
        memory.scratch(WORKSPACE, copies.columns)
        memory.free(weight)
        return gradient
