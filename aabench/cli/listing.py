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
    """List attention forms, position encodings, profiles, or the columns of the results.

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
    from aabench.cases.catalogue import ATTENTIONS, POSITIONS

    catalogue = ATTENTIONS if what is Listable.attentions else POSITIONS
    return [what.value[:-1], "summary"], [(entry.name, entry.summary) for entry in catalogue]
