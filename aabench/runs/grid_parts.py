"""The parts of a grid: smaller grids whose entries, one after the other, are the entries of the whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from aabench.cases.grid import Grid


def grid_parts(grid: Grid, most: int) -> Iterator[Grid]:
    """Cut a grid, in grid order, into grids of at most so many entries.

    The last axis runs fastest: with single values of the leading axes and some values of the next one,
    what is left of a grid is a run of neighbouring entries.
    """
    names, lists = list(grid.axes), list(grid.axes.values())
    cut = next(
        place
        for place in range(len(lists) + 1)
        if math.prod(len(values) for values in lists[place:]) <= most
    )
    if cut == 0:
        yield grid
        return
    leading, sliced, whole = lists[: cut - 1], lists[cut - 1], lists[cut:]
    step = most // math.prod(len(values) for values in whole)
    for point in itertools.product(*leading):
        for start in range(0, len(sliced), step):
            values = [*((value,) for value in point), sliced[start : start + step], *whole]
            yield Grid(dict(zip(names, values, strict=True)), grid.min_key_depth_per_head)
