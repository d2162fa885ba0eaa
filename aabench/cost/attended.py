"""The attention's branch of a layer: pooling, kqv, the form, mixing and upsampling, told on a timeline."""

from __future__ import annotations

import numpy as np

from aabench.cost.attention import Attention, AttentionForm, Gradients, Telling
from aabench.cost.cast_convolution import CastConvolution
from aabench.cost.columns import Column
from aabench.cost.groups import Setting
from aabench.cost.shapes import ENCODING_INPUT, EXTRA_CHANNELS, LayerShapes
from aabench.cost.timeline import GRADIENTS, INPUT, KQV, OUTPUT, WORKSPACE, Block, Timeline


class AttendedBranch:
    """The channels that attention makes, forward and backward.

    Args:
        setting: what the cases share.
        shapes: their parts, with attention.
        form: the attention's closed form.
        memory: where the step is told.
        cast_input: the layer's input as autocast has cast it for all readers, if it has.

    Attributes:
        output: the branch's output; one reference, which the caller frees.

    """

    def __init__(
        self,
        setting: Setting,
        shapes: LayerShapes,
        form: AttentionForm,
        memory: Timeline,
        cast_input: Block | None,
    ) -> None:
        assert shapes.attention is not None and shapes.kqv is not None and shapes.mix is not None
        self._setting, self._shapes, self._memory = setting, shapes, memory
        self._execution = setting.execution
        self._attention: Attention = shapes.attention
        pixels = self._pixels()
        self._kqv = CastConvolution(
            shapes.kqv,
            memory,
            setting.execution,
            trains=setting.trains,
            input_block=pixels or cast_input,
            casts_input=setting.execution.casts and (pixels is not None or cast_input is None),
            kind=KQV,
        )
        if pixels:
            memory.free(pixels)
        kqv = self._kqv.output
        self._telling: Telling = form.memory(self._attention, memory, kqv)
        values = next(self._telling)
        self._mix = self._mixed(values, form)
        self.output = self._upsampled(self._mix.output)
        memory.free(kqv, values)

    def backward(self, is_slice: bool) -> tuple[Block, list[Block]]:
        """The gradients of the layer's input and of this branch's weights.

        Args:
            is_slice: whether the gradient of the output is a part of a larger one, and so has to
                be made contiguous.

        """
        memory, shapes = self._memory, self._shapes
        gradient = self._gradient_of_mixed(is_slice)
        of_values, of_mix = self._backward_mix(gradient)
        of_q, of_k, of_v, channels_last = self._backward_form(of_values)
        of_tables = [
            memory.allocate(GRADIENTS, elements * self._execution.stored)
            for elements in shapes.tables
        ]
        unscaled = memory.allocate(GRADIENTS, self._attention.key_bytes)
        memory.free(of_q)
        assert shapes.kqv is not None
        of_kqv = memory.allocate(GRADIENTS, shapes.kqv.outputs * self._execution.computed)
        memory.free(unscaled, of_k, of_v)
        fits = np.equal(channels_last, self._execution.channels_last)
        copy = memory.allocate(GRADIENTS, np.where(fits, 0, of_kqv.size))
        of_pixels, of_weight = self._kqv.backward(of_kqv)
        memory.free(copy)
        return self._gradient_of_input(of_pixels), [of_weight, of_mix, *of_tables]

    def _pixels(self) -> Block | None:
        """The attention's input where it is not the layer's own."""
        setting, memory = self._setting, self._memory
        pixels = None
        if setting.pools:
            pixels = memory.allocate(INPUT, self._shapes.pooled * self._execution.stored)
        if setting.position in ENCODING_INPUT:
            pixels = self._encoded(pixels)
        return pixels

    def _encoded(self, pixels: Block | None) -> Block:
        """The input with positions in it, made from a code that all images share."""
        memory, stored, kqv = self._memory, self._execution.stored, self._shapes.kqv
        assert kqv is not None
        extra = EXTRA_CHANNELS[self._setting.position]
        code = memory.allocate(WORKSPACE, (extra or kqv.in_channels) * kqv.in_pixels * stored)
        encoded = memory.allocate(INPUT, kqv.inputs * stored)
        memory.free(code, *([pixels] if pixels else []))
        return encoded

    def _mixed(self, values: Block, form: AttentionForm) -> CastConvolution:
        """The heads merged into channels, and the convolution over them."""
        memory, shapes = self._memory, self._shapes
        assert shapes.mix is not None
        if form.merges_without_copy(self._attention):
            merged = memory.keep(values)
        else:
            merged = memory.allocate(OUTPUT, self._attention.value_bytes)
        copies = []
        if self._execution.channels_last:
            copies = [memory.allocate(WORKSPACE, merged.size)]
        mix = CastConvolution(
            shapes.mix, memory, self._execution, trains=self._setting.trains, input_block=merged
        )
        memory.free(merged, *copies)
        return mix

    def _upsampled(self, mixed: Block) -> Block:
        """The output at the layer's resolution; CPU kernels work on copies with channels innermost."""
        if not self._setting.upsamples:
            return mixed
        memory = self._memory
        output = memory.allocate(OUTPUT, self._shapes.upsampled * self._execution.computed)
        if self._execution.on_cpu and not self._execution.channels_last:
            copies = [memory.allocate(WORKSPACE, block.size) for block in (mixed, output)]
            memory.free(*copies)
        memory.free(mixed)
        return output

    def _gradient_of_mixed(self, is_slice: bool) -> Block | None:
        """A contiguous gradient of what ``mix`` gave; None where the step's own is it."""
        memory, size = self._memory, self._attention.value_bytes
        if self._setting.upsamples:
            gradient = memory.allocate(GRADIENTS, size)
            if is_slice:
                upsampled = self._shapes.upsampled * self._execution.computed
                memory.scratch(WORKSPACE, upsampled)
            return gradient
        return memory.allocate(GRADIENTS, size) if is_slice else None

    def _backward_mix(self, gradient: Block | None) -> tuple[Block, Block]:
        memory = self._memory
        copies = []
        if self._execution.channels_last:
            copies = [memory.allocate(WORKSPACE, self._attention.value_bytes)]
        gradients = self._mix.backward(gradient)
        memory.free(*copies)
        return gradients

    def _backward_form(self, of_values: Block) -> Gradients:
        try:
            self._telling.send(of_values)
        except StopIteration as finished:
            gradients: Gradients = finished.value
            return gradients
        raise AssertionError("a form's telling ends with its backward pass")

    def _gradient_of_input(self, of_pixels: Block) -> Block:
        """Back through casting, encoding and pooling; what autocast shares is cast by the layer."""
        setting, memory, shapes = self._setting, self._memory, self._shapes
        assert shapes.kqv is not None
        if self._execution.casts and (setting.pools or setting.position in ENCODING_INPUT):
            of_pixels = self._exchanged(of_pixels, shapes.kqv.inputs)
        if not setting.pools:
            return of_pixels
        copies = []
        if EXTRA_CHANNELS[setting.position] and not is_contiguous_slice(setting):
            size = shapes.pooled * self._execution.stored
            copies = [memory.allocate(WORKSPACE, size)]  # pooling wants a contiguous gradient
        of_input = self._exchanged(of_pixels, shapes.inputs)
        memory.free(*copies)
        return of_input

    def _exchanged(self, gradient: Block, elements: Column) -> Block:
        """A gradient as it is stored, for one that goes."""
        stored = self._memory.allocate(GRADIENTS, elements * self._execution.stored)
        self._memory.free(gradient)
        return stored


def is_contiguous_slice(setting: Setting) -> bool:
    """Whether some channels of a tensor are contiguous: those of a single image are."""
    return setting.is_single_image and not setting.execution.channels_last
