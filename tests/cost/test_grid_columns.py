"""Grids as columns: the same entries, cases, problems and notes as the grid gives one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.case import Case, Layer
from aabench.cases.grid import Grid
from aabench.cases.validity import RULES, layer_problem
from aabench.cost.columns import LAYER_SIZES, Labels, LayerColumns
from aabench.cost.distinct import distinct
from aabench.cost.grid_columns import GridColumns
from aabench.errors import UsageError

AXES = st.fixed_dictionaries(
    {
        "in_channels": st.sampled_from(["8", "8,12"]),
        "heads": st.sampled_from(["1", "2,3", "8,5"]),
        "resolution": st.sampled_from(["6", "5x7,4"]),
        "mode": st.sampled_from(["infer", "train,infer"]),
        "position": st.sampled_from(["relative", "none,relative"]),
    },
    optional={
        "out_channels": st.sampled_from(["10,16", "7"]),
        "kernel_size": st.sampled_from(["1,2,3"]),
        "stride": st.sampled_from(["1,2"]),
        "attention": st.sampled_from(["broadcast", "auto,materialized"]),
        "optimizer": st.sampled_from(["sgd,adam"]),
        "compile": st.sampled_from(["off,on"]),
    },
)
DEPTHS = st.sampled_from(
    [
        {"dk": "1,6,8", "dv": "0,4,30"},
        {"kappa": "0,.1,.33", "upsilon": "0:0.5:0.25"},
        {"kappa": "0.123456789012345678", "dv": "4"},
        {"dk": "16", "upsilon": "0.01,1"},
    ]
)


def case_at(columns: GridColumns, row: int) -> Case:
    """The case that a row of columns says."""
    layers = columns.layers
    sizes = {name: int(getattr(layers, name)[row]) for name in LAYER_SIZES}
    mode = layers.mode.at(row)
    possible = bool(columns.possible[row])
    return Case(
        subject=Layer(**sizes, position=layers.position.at(row)),
        batch=int(layers.batch[row]),
        mode=mode,
        precision=layers.precision.at(row),
        attention=layers.attention.at(row),
        compile=bool(columns.compiled[row]),
        memory_format=layers.memory_format.at(row),
        optimizer=layers.optimizer.at(row) if mode == "train" or not possible else None,
    )


@settings(deadline=None, max_examples=50)
@given(axes=AXES, depths=DEPTHS, floor=st.sampled_from([0, 3]))
def test_rows_are_the_entries_of_the_grid(
    axes: dict[str, str], depths: dict[str, str], floor: int
) -> None:
    grid = Grid.of(axes | depths, min_key_depth_per_head=floor)
    columns = GridColumns.of(grid, "cpu", 2)
    assert len(columns.layers) == len(grid)
    for entry in grid.entries():
        row = entry.index
        assert case_at(columns, row) == entry.case
        assert columns.possible[row] == (entry.problem is None)
        if entry.problem is None:
            assert columns.was_rounded[row] == bool(entry.notes)
        (alone,) = columns.point(row).entries()
        assert (alone.case, alone.notes) == (entry.case, entry.notes)


SIZE = st.integers(1, 24)
LAYERS = st.builds(
    Layer,
    in_channels=SIZE,
    out_channels=SIZE,
    kernel_size=st.integers(1, 5),
    stride=st.integers(1, 3),
    downsample=st.integers(1, 3),
    heads=st.integers(1, 5),
    dk=st.integers(0, 24),
    dv=st.integers(0, 24),
    position=st.sampled_from(["relative", "none"]),
    height=SIZE,
    width=SIZE,
)


@settings(deadline=None, max_examples=60)
@given(layers=st.lists(LAYERS, min_size=1, max_size=20))
def test_rules_say_the_same_of_columns_and_of_layers(layers: list[Layer]) -> None:
    columns = LayerColumns.from_cases([Case(layer) for layer in layers], "cpu", 1)
    broken = [np.asarray(rule.broken(columns)) for rule in RULES]
    for row, layer in enumerate(layers):
        assert [bool(column[row]) for column in broken] == [bool(r.broken(layer)) for r in RULES]
        first = next((r for r, column in zip(RULES, broken, strict=True) if column[row]), None)
        assert layer_problem(layer) == (first.sentence(layer) if first else None)


def test_auto_is_resolved_by_the_written_rule() -> None:
    from aabench.runs.device_facts import DeviceFacts
    from aabench.runs.plan import Plan

    axes = {"in_channels": 16, "heads": "2,4", "dk": 16, "dv": "0,8", "resolution": "5,6x7"}
    axes |= {"position": "relative,none", "mode": "infer,train", "attention": "auto,broadcast"}
    grid = Grid.of(axes)
    columns, choices = GridColumns.of(grid, "cpu", 1).resolved()
    plan = Plan.of(grid, DeviceFacts("cpu", "a processor"))
    for row, planned in enumerate(plan.rows):
        assert columns.layers.attention.at(row) == planned.case.attention
        said = [sentence for sentence, rows in choices.items() if row in rows]
        assert said == [note for note in planned.notes if note.startswith("auto")]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.sampled_from([0, 1, 10**12]), st.booleans()), max_size=30
    )
)
def test_distinct_combinations(rows: list[tuple[int, int, bool]]) -> None:
    columns = [np.array([row[place] for row in rows], np.int64) for place in range(3)]
    first, number = distinct(columns)
    assert len(first) == len(set(rows))
    for row, values in enumerate(rows):
        assert rows[first[number[row]]] == values
        assert first[number[row]] == rows.index(values)


def test_labels() -> None:
    labels = Labels.of(["a", "b", "a"])
    assert [labels.at(row) for row in range(3)] == ["a", "b", "a"]
    assert list(labels.equal("a")) == [True, False, True]
    assert not labels.equal("c").any()
    changed = labels.put(np.array([False, True, True]), "c")
    assert [changed.at(row) for row in range(3)] == ["a", "c", "c"]
    assert changed.take(np.array([2, 0])).names == ("a", "b", "c")


def test_columns_of_unequal_length_are_refused() -> None:
    columns = LayerColumns.from_cases([Case(Layer(1, 1, 1, 1, 1, 1, 1, 1, "none", 1, 1))], "cpu", 1)
    with pytest.raises(UsageError, match="differ in length"):
        columns.mapped(lambda sizes: np.repeat(sizes, 2), lambda labels: labels)
