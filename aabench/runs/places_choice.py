"""One choice for all places: a case whose form is ``auto`` must mean the same on every card of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from aabench.cases.choice import AUTO, Situation, choose_attention
from aabench.cases.grid import Grid
from aabench.errors import UsageError
from aabench.runs.attention_choice import resolve_attention
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.place import Place


def check_one_choice(grid: Grid, places: Sequence[Place]) -> None:
    """Refuse ``auto`` where it stands for different forms on cards of different capability.

    Raises:
        UsageError: names the forms.
    """
    facts = list({place.facts.capability: place.facts for place in places}.values())
    if len(facts) < 2 or AUTO not in grid.axes["attention"]:
        return
    choices = _of_networks(grid, facts) if grid.of_networks else _of_layers(grid, facts)
    for forms in choices:
        if len(set(forms)) > 1:
            told = [
                f"{form} on {each.name}, compute capability {'.'.join(map(str, each.capability or ()))}"
                for form, each in zip(forms, facts, strict=True)
            ]
            raise UsageError(
                "--attention auto stands for different forms on these cards",
                got="; ".join(told),
                instead=f"name the forms, as --attention {','.join(dict.fromkeys(forms))}",
            )


def _of_layers(grid: Grid, facts: Sequence[DeviceFacts]) -> Iterable[list[str]]:
    for entry in grid.entries():
        if not entry.problem and entry.case.attention == AUTO:
            yield [resolve_attention(entry.case, each)[0].attention for each in facts]


def _of_networks(grid: Grid, facts: Sequence[DeviceFacts]) -> Iterable[list[str]]:
    """What a layer of usual depths would choose: the rules look at numbers and gradients, not at sizes."""
    for precision, mode, has_tables in product(
        grid.axes["precision"], grid.axes["mode"], (True, False)
    ):
        yield [
            choose_attention(
                Situation(
                    device_type=each.type,
                    capability=each.capability,
                    precision=str(precision),
                    training=mode != "infer",
                    tokens=196,
                    key_depth_per_head=20,
                    value_depth_per_head=4,
                    height=14,
                    width=14,
                    has_tables=has_tables,
                )
            ).name
            for each in facts
        ]
