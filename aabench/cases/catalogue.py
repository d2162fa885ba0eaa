"""The catalogue of names: every attention form and position as a ``module:attribute`` string.

Nothing here imports torch, so a name can be checked, listed and suggested in milliseconds.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from aabench.errors import UnknownName, UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of a catalogue.

    Attributes:
        name: what the user types.
        target: ``package.module:attribute`` of the layer side.
        summary: one line for ``aabench list``.
        cost: ``package.module:attribute`` of the closed form, or None: then it is traced.
    """

    name: str
    target: str
    summary: str
    cost: str | None = None


class Catalogue:
    """Names of one kind, built in or registered by an entry point, plus ``package.module:function``.

    Args:
        kind: the noun for error messages, such as ``attention form``.
        entries: the built-in entries.
        entry_point_group: where other packages register theirs.
    """

    def __init__(
        self, kind: str, entries: list[Entry], entry_point_group: str | None = None
    ) -> None:
        self.kind = kind
        self._builtin = {entry.name: entry for entry in entries}
        self._group = entry_point_group

    def __iter__(self) -> Iterator[Entry]:
        yield from self._builtin.values()
        yield from self._registered().values()

    def names(self) -> list[str]:
        """All known names, built-in ones first."""
        return [entry.name for entry in self]

    def entry(self, name: str) -> Entry:
        """The entry of a name; ``package.module:function`` is its own entry.

        Raises:
            UnknownName: no such name; the nearest ones are offered.
        """
        if name in self._builtin:
            return self._builtin[name]
        registered = self._registered()
        if name in registered:
            return registered[name]
        if ":" in name and all(part for part in name.split(":", 1)):
            return Entry(name, name, "outside code")
        raise UnknownName(self.kind, name, self.names())

    def load(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            UnknownName: no such name.
            UsageError: the module cannot be imported or lacks the attribute.
        """
        return import_attribute(self.entry(name).target)

    def _registered(self) -> dict[str, Entry]:
        if self._group is None:
            return {}
        found = entry_points(group=self._group)
        return {
            point.name: Entry(point.name, point.value, f"registered by {_package_of(point)}")
            for point in found
            if point.name not in self._builtin
        }


def import_attribute(target: str) -> Any:
    """The object at ``package.module:attribute``; the current folder is searched first.

    Raises:
        UsageError: the module cannot be imported or lacks the attribute.
    """
    module_name, _, attribute = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # user modules may raise anything while they are imported
        raise UsageError(
            f"the module {module_name!r} cannot be imported: {type(error).__name__}: {error}",
            got=target,
            instead="give package.module:function, importable from the current folder",
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(
                f"the module {module_name!r} has no {attribute!r}",
                got=target,
                allowed=[name for name in dir(found) if not name.startswith("_")][:20],
            )
        found = getattr(found, part)
    return found


def _package_of(point: Any) -> str:
    return str(point.dist.name) if point.dist is not None else "an installed package"


ATTENTIONS = Catalogue(
    "attention form",
    [
        Entry(
            "materialized",
            "aabench.layers.attention.materialized:attend",
            "the paper's: skew, repeat, add, softmax over full maps; what people have today",
            "aabench.cost.materialized:FORM",
        ),
        Entry(
            "broadcast",
            "aabench.layers.attention.broadcast:attend",
            "full maps, the position logits added by broadcasting: the readable specification",
            "aabench.cost.broadcast:FORM",
        ),
        Entry(
            "sdpa-bias",
            "aabench.layers.attention.sdpa_bias:attend",
            "stock scaled_dot_product_attention with the position logits as its mask",
            "aabench.cost.sdpa_bias:FORM",
        ),
        Entry(
            "factored",
            "aabench.layers.attention.factored:attend",
            "position logits as extra columns of q and k, so that a stock fused kernel does all",
            "aabench.cost.factored:FORM",
        ),
        Entry(
            "blocked",
            "aabench.layers.attention.blocked:attend",
            "block by block in one reused buffer, forward and backward: never a full map",
            "aabench.cost.blocked:FORM",
        ),
        Entry(
            "flex",
            "aabench.layers.attention.flex:attend",
            "FlexAttention, compiled, adding the position logits itself; trains on CUDA only",
            "aabench.cost.flex:FORM",
        ),
        Entry(
            "triton",
            "aabench.layers.attention.triton:attend",
            "fused Triton kernels, deterministic, forward and backward; CUDA only, from sm80 on",
            "aabench.cost.triton:FORM",
        ),
    ],
    entry_point_group="aabench.attentions",
)

POSITIONS = Catalogue(
    "position encoding",
    [
        Entry(
            "relative",
            "aabench.layers.positions.relative:RelativePosition",
            "2-D relative logits from one table of rows and one of columns, shared by the heads",
        ),
        Entry(
            "none",
            "aabench.layers.positions.no_position:NoPosition",
            "no position encoding: attention over an unordered set of pixels",
        ),
        Entry(
            "sine",
            "aabench.layers.positions.sine:SinePosition",
            "fixed waves of the row and of the column added to the attention's input",
        ),
        Entry(
            "coordconv",
            "aabench.layers.positions.coordconv:CoordConvPosition",
            "the pixel's x, y and distance from the centre as three more input channels",
        ),
    ],
    entry_point_group="aabench.positions",
)
