"""The closed form of `broadcast`: full maps, the position logits added to them one after the other."""

from __future__ import annotations

from aabench.cost.attention import Attention, AttentionForm, Gradients, Macs, Telling, plain_macs
from aabench.cost.products import LogitsProduct, ValuesProduct
from aabench.cost.row_column_logits import RowColumnLogits, row_column_macs
from aabench.cost.timeline import GRADIENTS, LOGITS, SOFTMAX, Block, Timeline


class BroadcastForm(AttentionForm):
    """Three maps at most: the logits, their sum with the positions, and the weights."""

    def merges_without_copy(self, attention: Attention) -> bool:
        """With a single channel a head there is no order to change."""
        return attention.has_scalar_values

    def macs(self, attention: Attention) -> dict[str, Macs]:
        """Q k^T, two products with Toeplitz tables, weights times v."""
        macs = {"logits": plain_macs(attention.key_macs, attention)}
        if attention.has_tables:
            macs["position logits"] = row_column_macs(attention)
        macs["values"] = plain_macs(attention.value_macs, attention)
        return macs

    def memory(self, attention: Attention, memory: Timeline, kqv: Block) -> Telling:
        """The maps in the order in which they come and go; the sum's parts live as long as it does."""
        size = attention.map_bytes
        logits = LogitsProduct(attention, memory, kqv)
        summed = [logits.result]
        positions = None
        if attention.has_tables:
            positions = RowColumnLogits(attention, memory, kqv)
            with_rows = memory.allocate(LOGITS, size, is_map=True)
            summed.append(memory.allocate(LOGITS, size, is_map=True))
            memory.free(with_rows)
            summed += [positions.rows, positions.columns]
        weights = memory.allocate(SOFTMAX, size, is_map=True)
        values = ValuesProduct(attention, memory, kqv)
        memory.free(*summed)
        if not attention.trains:
            memory.free(weights)

        gradient = yield values.result

        of_weights, of_v = values.backward(gradient)
        of_logits = memory.allocate(GRADIENTS, size, is_map=True)
        memory.free(of_weights, weights)
        of_q_by_position = positions.backward() if positions else None
        of_q, of_k = logits.backward()
        memory.free(of_logits)
        if of_q_by_position:
            memory.free(of_q_by_position)
        return Gradients(of_q, of_k, of_v)


FORM = BroadcastForm()
