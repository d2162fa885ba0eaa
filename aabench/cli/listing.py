"""``aabench list``: every name that can be typed, without loading anything heavy."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer


class Listable(StrEnum):
    """What can be listed."""

    attentions = "attentions"
    positions = "positions"
    profiles = "profiles"
    networks = "networks"
    gpus = "gpus"
    columns = "columns"


class ListFormat(StrEnum):
    """How a list is written."""

    table = "table"
    json = "json"


def list_command(
    what: Annotated[Listable, typer.Argument(help="What to list.", show_default=False)],
    format: Annotated[ListFormat, typer.Option(help="What goes to standard output.")] = (
        ListFormat.table
    ),
) -> None:
    """List what can be named: forms, positions, profiles, networks, cards, columns of the results.

    Example: aabench list attentions
    """
    head, rows = _listed(what)
    if format is ListFormat.json:
        records = [dict(zip(head, row, strict=True)) for row in rows]
        print(json.dumps(records, indent=2, ensure_ascii=False))
        return
    from aabench.report.lists import write_list

    write_list(head, rows, sys.stdout)


def _listed(what: Listable) -> tuple[list[str], list[tuple[str, ...]]]:
    if what is Listable.columns:
        from aabench.cases.columns import COLUMNS

        head = ["column", "unit", "group", "meaning"]
        return head, [(item.name, item.unit, item.group, item.meaning) for item in COLUMNS]
    if what is Listable.profiles:
        from aabench.cases.profile import builtin_profiles

        return ["profile", "summary"], [
            (item.name, item.description) for item in builtin_profiles()
        ]
    if what is Listable.networks:
        return _listed_networks()
    if what is Listable.gpus:
        return _listed_cards()
    from aabench.cases.catalogue import ATTENTIONS, POSITIONS

    catalogue = ATTENTIONS if what is Listable.attentions else POSITIONS
    return [what.value[:-1], "summary"], [(entry.name, entry.summary) for entry in catalogue]


def _listed_networks() -> tuple[list[str], list[tuple[str, ...]]]:
    """Networks by name, with the side of the images that their papers cost them with."""
    from aabench.cases.network_catalogue import NETWORKS

    return ["network", "pixels", "plain", "summary"], [
        (entry.name, str(entry.resolution), entry.plain or "", entry.summary) for entry in NETWORKS
    ]


def _listed_cards() -> tuple[list[str], list[tuple[str, ...]]]:
    """Cards that ``--gpu`` knows by name; a person's own are among them."""
    from aabench.cases.card import known_cards

    head = ["gpu", "architecture", "usable", "bandwidth", "fp32", "bf16", "fp16", "torch", "name"]
    return head, [
        (
            card.key,
            card.architecture,
            f"{card.usable_bytes / 2**30:.2f} GiB",
            f"{(card.bandwidth_bytes_per_s or 0) / 1e9:,.0f} GB/s",
            *(
                f"{rate / 1e12:.4g} TFLOP/s" if (rate := card.rates_flops_per_s.get(name)) else "-"
                for name in ("fp32", "bf16", "fp16")
            ),
            "any" if card.newest_torch is None else "to {}.{}".format(*card.newest_torch),
            card.name,
        )
        for card in known_cards()
    ]
