"""The convolution in a layer: its step with the casts of autocast and the layout of its gradient."""

from __future__ import annotations

from aabench.cost.convolution import Convolution
from aabench.cost.convolution_passes import ConvolutionPasses
from aabench.cost.execution import Execution
from aabench.cost.timeline import GRADIENTS, INPUT, OUTPUT, PARAMETERS, Block, Timeline


class CastConvolution:
    """One convolution of a layer, forward and backward.

    Args:
        convolution: its sizes.
        memory: where its step is told.
        execution: where and in which numbers it runs.
        trains: whether a backward pass follows.
        input_block: what it reads and saves, if that was allocated in the step.
        casts_input: whether the input has to be cast for it first.
        kind: of its output.

    Attributes:
        output: its output's block; one reference, which the caller frees.

    """

    def __init__(
        self,
        convolution: Convolution,
        memory: Timeline,
        execution: Execution,
        *,
        trains: bool,
        input_block: Block | None = None,
        casts_input: bool = False,
        kind: str = OUTPUT,
    ) -> None:
        self._convolution, self._memory, self._execution = convolution, memory, execution
        self._saved: list[Block] = []
        if execution.casts:
            size = convolution.weights * execution.computed
            self._saved.append(memory.allocate(PARAMETERS, size))
        if casts_input:
            size = convolution.inputs * execution.computed
            self._saved.append(memory.allocate(INPUT, size))
        elif input_block is not None:
            self._saved.append(memory.keep(input_block))
        self._passes = ConvolutionPasses(convolution, memory, execution, in_steps=True)
        self.output = self._passes.forward(kind)
        if not trains:
            memory.free(*self._saved)

    def backward(self, gradient: Block | None) -> tuple[Block, Block]:
        """The gradients of input and weight.

        Args:
            gradient: that of the output, contiguous, to be freed; None if it is the step's own.

        Returns:
            The input's, in the precision of the products, and the weight's, as it is stored.

        """
        memory, execution = self._memory, self._execution
        of_input = self._passes.backward_input()
        of_weight = self._passes.backward_weight()
        memory.free(*self._saved, *([gradient] if gradient else []))
        if execution.casts:
            stored = memory.allocate(GRADIENTS, self._convolution.weights * execution.stored)
            memory.free(of_weight)
            of_weight = stored
        return of_input, of_weight
