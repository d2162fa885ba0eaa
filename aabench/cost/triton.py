"""The closed form of `triton`: no map, but the position logits a and b and one log-sum-exp a query.

It follows the order in which the form allocates on CUDA. It was never checked against a card's
allocator; in Triton's interpreter, on the CPU, every load is an array of its own, and the memory is
not known.
"""

from __future__ import annotations

from aabench.cost.attention import Attention, AttentionForm, Gradients, Macs, Telling
from aabench.cost.execution import SINGLE
from aabench.cost.row_column_logits import RowColumnLogits
from aabench.cost.timeline import GRADIENTS, OUTPUT, POSITION_LOGITS, SOFTMAX, Block, Timeline


class TritonForm(AttentionForm):
    """N (H + W) numbers a head, forward; backward their gradients, and those of q, k and v."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """The output has the values' order of dimensions in memory, the one that is wanted."""
        return True

    def knows_memory(self, device_type: str) -> bool:
        """On CUDA alone."""
        return device_type == "cuda"

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """The products at their true depths; tiles are padded to powers of two on top of this.

        Both backward kernels compute the logits and the gradients of the weights once more.
        Positions are computed again there too, and go back by two products.
        """
        keys, values = attention.key_macs, attention.value_macs
        trains = attention.trains
        macs = {"logits": Macs(keys, keys * (5 if trains else 1))}
        if attention.has_tables:
            sides = attention.height + attention.width
            positions = attention.queries * attention.key_depth * sides
            macs["position logits"] = Macs(positions, positions * (4 if trains else 1))
        macs["values"] = Macs(values, values * (4 if trains else 1))
        return macs

    def memory(self, attention: Attention, memory: Timeline, kqv: Block) -> Telling:
        """Position logits, output and log-sum-exp; backward recomputes the weights tile by tile."""
        positions = _position_logits(attention, memory)
        result = memory.allocate(OUTPUT, attention.value_bytes)
        log_sums = memory.allocate(SOFTMAX, attention.queries * SINGLE)
        if attention.trains:
            saved = [memory.keep(block) for block in (kqv, result)]
            query = memory.keep(kqv)
        else:
            memory.free(*positions, log_sums)

        gradient = yield result

        of_q, of_k = (memory.allocate(GRADIENTS, attention.key_bytes) for _ in "qk")
        of_v = memory.allocate(GRADIENTS, attention.value_bytes)
        of_positions = _gradients_of(attention, memory, positions)
        delta = memory.allocate(GRADIENTS, log_sums.size)
        memory.free(gradient, delta, *saved, log_sums, *positions)
        if of_positions:
            again = RowColumnLogits(attention, memory, query)
            held = [again.rows, again.columns, *map(memory.keep, of_positions)]
            memory.free(again.backward_of(*of_positions), *held)
        memory.free(query)
        channels_last = attention.execution.channels_last
        return Gradients(of_q, of_k, of_v, channels_last=channels_last)


def _position_logits(attention: Attention, memory: Timeline) -> list[Block]:
    """The logits a and b, in the data type of q."""
    if not attention.has_tables:
        return []
    return [
        memory.allocate(POSITION_LOGITS, attention.queries * side * attention.item)
        for side in (attention.height, attention.width)
    ]


def _gradients_of(
    attention: Attention, memory: Timeline, positions: list[Block]
) -> tuple[Block, Block] | None:
    """The gradients of a and b; a's is gathered in single precision, as a wide image's is."""
    if not positions:
        return None
    rows, columns = positions
    gathered = memory.allocate(GRADIENTS, rows.size // attention.item * SINGLE)
    of_columns = memory.allocate(GRADIENTS, columns.size)
    if not attention.execution.is_half:
        return gathered, of_columns
    of_rows = memory.allocate(GRADIENTS, rows.size)
    memory.free(gathered)
    return of_rows, of_columns


FORM = TritonForm()
"""What the catalogue names."""
