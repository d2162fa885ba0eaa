"""The kernel scratch: what the CPU's kernels allocate beside their results, by operation.

Convolutions above all, whose library computes in layouts of its own. The rules are those of the
layers' closed forms (``aabench.cost.convolution_passes``); a trace sees results only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from aabench.cost.execution import Execution
from aabench.cost.traced.allocations import CONVOLUTION_COPIES
from aabench.cost.traced.convolution_scratch import (
    ConvolutionSizes,
    backward_blocks,
    forward_blocks,
    unfolded_columns,
)
from aabench.cost.traced.script import Line, Script, ScriptedTimeline

_aten = torch.ops.aten


class KernelScratch:
    """What an operation allocates for a moment beside its inputs and results.

    Args:
        execution: where and in which numbers the step runs; elsewhere than on the CPU, and where
            torch comes without its library, nothing is known of the kernels, and nothing is added.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        rules: dict[Any, Callable[[tuple[Any, ...], Any], Script]] = {
            _aten.convolution.default: self._convolution,
            _aten.convolution_backward.default: self._convolution_backward,
            _aten.upsample_bilinear2d.default: self._upsampling,
            _aten.upsample_bilinear2d.vec: self._upsampling,
        }
        has_library = torch.backends.mkldnn.is_available()
        self._rules = rules if execution.on_cpu and has_library else {}
        self._foreign = _not_taken() if self._rules else frozenset()

    def of(self, operation: Any, arguments: tuple[Any, ...], result: Any) -> Script:
        """What comes and goes, results included; empty of an operation without a rule.

        Args:
            operation: the overload that was called.
            arguments: its positional arguments.
            result: what it returned.
        """
        rule = self._rules.get(operation)
        return rule(arguments, result) if rule is not None else ()

    def _runs_in_library(self, x: Tensor) -> bool:
        """Whether the library computes in these numbers on this processor; else torch itself does."""
        return x.dtype not in self._foreign

    def _convolution(self, arguments: tuple[Any, ...], result: Tensor) -> Script:
        x, weight, _, stride, _, _, is_transposed, _, groups = arguments
        if x.dim() != 4 or is_transposed:
            return ()
        sizes = ConvolutionSizes.of(x, weight, result, stride=stride, groups=groups)
        if not self._runs_in_library(x):
            return _beside((result,), unfolded_columns(sizes))
        return forward_blocks(sizes, _in_layout_of(x, self._execution))

    def _convolution_backward(self, arguments: tuple[Any, ...], results: Any) -> Script:
        gradient, x, weight, _, stride, _, _, is_transposed, _, groups, needed = arguments
        if x.dim() != 4 or is_transposed:
            return ()
        sizes = ConvolutionSizes.of(x, weight, gradient, stride=stride, groups=groups)
        if not self._runs_in_library(x):
            return _beside(results, unfolded_columns(sizes))
        execution = _in_layout_of(x, self._execution)
        blocks = backward_blocks(sizes, execution, bool(needed[0]), bool(needed[1]))
        layout = torch.channels_last if execution.channels_last else torch.contiguous_format
        if gradient.is_contiguous(memory_format=layout):
            return blocks
        copy = gradient.numel() * gradient.element_size()
        return (Line(len(blocks), copy, CONVOLUTION_COPIES), *blocks)

    def _upsampling(self, arguments: tuple[Any, ...], result: Tensor) -> Script:
        """Channels before pixels: input and output are copied to have them innermost."""
        x: Tensor = arguments[0]
        if not x.is_contiguous():
            return ()
        return _beside((result,), (x.numel() + result.numel()) * x.element_size())


def _not_taken() -> frozenset[torch.dtype]:
    """The half precisions in which the library does not compute on this processor."""
    library = torch.ops.mkldnn
    takes = {
        torch.float16: library._is_mkldnn_fp16_supported(),
        torch.bfloat16: library._is_mkldnn_bf16_supported(),
    }
    return frozenset(dtype for dtype, is_taken in takes.items() if not is_taken)


def _beside(results: Iterable[Tensor | None], size: int) -> Script:
    """The results, and so many bytes together with them."""
    memory = ScriptedTimeline()
    for result in results:
        if result is not None:
            memory.result(result.numel() * result.element_size())
    memory.free(memory.copy(size))
    return memory.script


def _in_layout_of(x: Tensor, execution: Execution) -> Execution:
    """The execution with the layout that this input really has: it decides the copies."""
    is_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    if is_last == execution.channels_last:
        return execution
    return replace(execution, channels_last=is_last)
