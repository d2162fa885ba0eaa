"""The plan of a run: every row with the case it stands for, and every case that has to be measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from aabench.cases.case import Case
from aabench.cases.grid import Entry, Grid
from aabench.runs.attention_choice import resolve_attention
from aabench.runs.device_facts import DeviceFacts


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """One row of the results.

    Attributes:
        entry: the point of the grid.
        case: its case with the form resolved; equal cases are measured once.
        key: the case's key, "" where there is nothing to measure.
        plain_key: the key of the convolution or plain network it is compared with, "" for that one.
        notes: what happened on the way from the axis values to the case.
    """

    entry: Entry
    case: Case
    key: str
    plain_key: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Rows in grid order and the different cases behind them, baselines included.

    Attributes:
        rows: in grid order.
        cases: by key.
        groups: by key, the key of the plain case that a case is compared with, or its own: cases of one
            group are divided by each other, and have to be measured by one device.
    """

    rows: list[PlannedRow] = field(default_factory=list)
    cases: dict[str, Case] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, grid: Grid, facts: DeviceFacts) -> Plan:
        """Plan a grid for a device."""
        plan = cls()
        for entry in grid.entries():
            plan._add(entry, facts)
        return plan

    @property
    def invalid(self) -> list[PlannedRow]:
        """The rows that are no layers."""
        return [row for row in self.rows if not row.key]

    def _add(self, entry: Entry, facts: DeviceFacts) -> None:
        if entry.problem:
            self.rows.append(PlannedRow(entry, entry.case, "", "", entry.notes))
            return
        case, notes = resolve_attention(entry.case, facts)
        key = case.key
        self.cases.setdefault(key, case)
        plain_key = ""
        if not case.is_plain:
            plain = case.plain()
            plain_key = plain.key
            self.cases.setdefault(plain_key, plain)
            self.groups.setdefault(plain_key, plain_key)
        self.groups.setdefault(key, plain_key or key)
        self.rows.append(PlannedRow(entry, case, key, plain_key, entry.notes + notes))
