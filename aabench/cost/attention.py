"""The attention: the sizes that every form's closed form is computed from, and the form's contract."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from aabench.cost.columns import Column
from aabench.cost.execution import Execution
from aabench.cost.timeline import Block, Timeline


@dataclass(frozen=True, eq=False)
class Attention:
    """Attentions that run alike, one per case; N = height * width.

    Attributes:
        batch: B.
        heads: Nh.
        key_depth: dk / Nh.
        value_depth: dv / Nh.
        height: H of the attention's map.
        width: W of the attention's map.
        has_tables: whether relative positions are added to the logits.
        trains: whether a backward pass follows.
        is_single_image: whether B is 1.
        is_single_head: whether Nh is 1.
        has_scalar_keys: whether keys and queries have one channel a head; such tensors count as
            contiguous however they lie in memory.
        has_scalar_values: whether values have one channel a head.
        execution: where and in which numbers.

    """

    batch: Column
    heads: Column
    key_depth: Column
    value_depth: Column
    height: Column
    width: Column
    has_tables: bool
    trains: bool
    is_single_image: bool
    is_single_head: bool
    has_scalar_keys: bool
    has_scalar_values: bool
    execution: Execution

    @property
    def has_one_map(self) -> bool:
        """Whether there is a single image with a single head."""
        return self.is_single_image and self.is_single_head

    @property
    def merges_heads(self) -> bool:
        """Whether images and heads of q, k and v are one dimension in memory, because one of them is 1.

        Then they go into products as they are, else as copies.
        """
        return self.is_single_image or self.is_single_head

    @property
    def shows_channels_last(self) -> bool:
        """Whether torch sees that channels are innermost in the gradients of q, k and v.

        It takes a single image, and a single channel, for the usual order.
        """
        has_single_channel = self.is_single_head and (
            self.has_scalar_keys or self.has_scalar_values
        )
        return not self.is_single_image and not has_single_channel

    @cached_property
    def tokens(self) -> Column:
        """N, the pixels that attend to each other."""
        return self.height * self.width

    @cached_property
    def maps(self) -> Column:
        """Elements of the full (B, Nh, N, N) map."""
        return self.queries * self.tokens

    @cached_property
    def queries(self) -> Column:
        """Rows of the map: B * Nh * N."""
        return self.batch * self.heads * self.tokens

    @property
    def item(self) -> int:
        """Bytes of an element that products take and give."""
        return self.execution.computed

    @cached_property
    def map_bytes(self) -> Column:
        """Bytes of the full map."""
        return self.maps * self.item

    @cached_property
    def key_bytes(self) -> Column:
        """Bytes of all keys; of all queries too."""
        return self.queries * self.key_depth * self.item

    @cached_property
    def value_bytes(self) -> Column:
        """Bytes of all values; of the attended values too."""
        return self.queries * self.value_depth * self.item

    @cached_property
    def key_macs(self) -> Column:
        """MACs of q k^T: B N^2 dk."""
        return self.maps * self.key_depth

    @cached_property
    def value_macs(self) -> Column:
        """MACs of weights times v: B N^2 dv."""
        return self.maps * self.value_depth

    @cached_property
    def least_macs(self) -> Column:
        """MACs of the forward pass: both products, and positions by rows and columns, B N dk (H + W)."""
        position = self.queries * self.key_depth * (self.height + self.width)
        return self.key_macs + self.value_macs + (position if self.has_tables else 0)


class Gradients(NamedTuple):
    """The blocks that hold the gradients of q (scaled), k and v.

    Attributes:
        query: of q.
        key: of k.
        value: of v.
        channels_last: whether channels are innermost in all three, for all cases or by case.

    """

    query: Block
    key: Block
    value: Block
    channels_last: bool | NDArray[np.bool_] = False


class Macs(NamedTuple):
    """Multiply-accumulates of one product in its forward pass and in the whole step."""

    forward: Column
    step: Column


Telling = Generator[Block, Block, Gradients]
"""A form's memory, told on a timeline: it yields the attended values (B, Nh, N, dv/Nh), is sent their
gradient, which it frees, and returns the gradients of its inputs. In inference it is left where it
yielded."""


class AttentionForm(Protocol):
    """The closed form of one attention form: the attribute that a catalogue entry's ``cost`` names."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """Whether the attended values lie channels before pixels, as the next convolution wants them."""
        ...

    def knows_memory(self, device_type: str) -> bool:
        """Whether ``memory`` is what happens on a type of device; if not, only MACs are known there."""
        return True

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """MACs as executed, by part: ``logits``, ``position logits`` and ``values``."""
        ...

    def memory(self, attention: Attention, memory: Timeline, kqv: Block) -> Telling:
        """What the form allocates and frees, from kqv, which holds k, q (scaled) and v."""
        ...


def plain_macs(forward: Column, attention: Attention) -> Macs:
    """A product whose two operands both need gradients: backward does it twice more."""
    return Macs(forward, forward * 3 if attention.trains else forward)
