"""The attention record: one attention of a traced step, which can be told again for another batch.

Blocks of a network grow evenly with the batch, but not those of every attention form: one that works in
a buffer of a fixed size cuts it for each batch anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aabench.cost.attention import AttentionForm
from aabench.cost.traced.attention_script import (
    AttentionSizes,
    BackwardPass,
    ForwardPass,
    attention_script,
)


@dataclass(frozen=True, slots=True, eq=False)
class AttentionRecord:
    """One attention, as traced.

    Attributes:
        form: its closed form.
        sizes: of it.
        places: of its own blocks in the step's log, in the order in which they came.
        operations: the places of its passes among the step's operations; one of a forward pass alone.
    """

    form: AttentionForm
    sizes: AttentionSizes
    places: tuple[int, ...]
    operations: tuple[int, ...]

    def at_batch(self, batch: int) -> AttentionRecord:
        """The same attention of more or fewer images, more than one."""
        return replace(self, sizes=self.sizes._replace(batch=batch))

    def block_sizes(self) -> list[int]:
        """Bytes of its own blocks, in the order of ``places``."""
        return [line.size for each in self._passes() for line in each.lines if line.kind]

    def work(self) -> list[tuple[int, int]]:
        """Bytes moved and operations launched by each pass, in the order of ``operations``."""
        return [each.work for each in self._passes()]

    def _passes(self) -> list[ForwardPass | BackwardPass]:
        passes = [each for each in attention_script(self.form, self.sizes) if each is not None]
        return passes[: len(self.operations)]
