"""The timeline: peaks, compositions and references, against a plain replay of each row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cost.timeline import KINDS, LOGITS, SOFTMAX, WORKSPACE, Block, Timeline

ROWS = 3
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["allocate", "free", "keep"]),
        st.sampled_from(KINDS[:4]),
        st.tuples(*[st.integers(0, 50)] * ROWS),
        st.integers(0, 10),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(events=EVENTS)
def test_every_row_is_as_if_told_alone(events: list[tuple[str, str, tuple[int, ...], int]]) -> None:
    memory = Timeline(ROWS)
    references: list[Block] = []
    levels = [dict.fromkeys(KINDS, 0) for _ in range(ROWS)]
    peaks = [dict(level) for level in levels]
    for what, kind, sizes, choice in events:
        if what == "allocate":
            references.append(memory.allocate(kind, np.array(sizes)))
            for row in range(ROWS):
                levels[row][kind] += sizes[row]
                if sum(levels[row].values()) > sum(peaks[row].values()):
                    peaks[row] = dict(levels[row])
        elif references and what == "keep":
            references.append(memory.keep(references[choice % len(references)]))
        elif references:
            block = references.pop(choice % len(references))
            memory.free(block)
            if not any(other is block for other in references):
                for row in range(ROWS):
                    levels[row][block.kind] -= int(block.size[row])
    by_kind = memory.peak_by_kind()
    for row in range(ROWS):
        assert memory.live[row] == sum(levels[row].values())
        assert memory.peak[row] == sum(peaks[row].values())
        assert {kind: int(by_kind[kind][row]) for kind in KINDS} == peaks[row]


def test_maps_at_the_peak_and_scratch() -> None:
    memory = Timeline(2)
    one = memory.allocate(LOGITS, np.array([10, 1]), is_map=True)
    memory.scratch(WORKSPACE, np.array([1, 100]))
    memory.free(one)
    memory.allocate(SOFTMAX, np.array([11, 2]), is_map=True)
    assert list(memory.peak) == [11, 101]
    assert list(memory.map_bytes_at_peak()) == [10, 1]  # of equal peaks the first counts
    assert list(memory.live) == [11, 2]


def test_blocks_are_rounded_up_to_the_granule() -> None:
    memory = Timeline(3, granule=512)
    memory.allocate(LOGITS, np.array([0, 1, 513]))
    assert list(memory.peak) == [0, 512, 1024]


def test_freeing_twice_is_an_error() -> None:
    memory = Timeline(1)
    block = memory.allocate(LOGITS, np.array([1]))
    memory.free(block)
    with pytest.raises(KeyError):
        memory.free(block)


def test_memory_that_is_used_again_takes_time_and_no_bytes() -> None:
    memory = Timeline(2)
    memory.allocate(LOGITS, np.array([10, 20]))
    begin = memory.moment
    buffer = memory.allocate(WORKSPACE, np.array([100, 100]))
    peak = memory.peak
    memory.reuse(np.array([1000, 3000]), np.array([7, 14]))
    memory.free(buffer)
    assert list(memory.peak) == list(peak)
    assert list(memory.bytes_since(begin)) == [1100, 3100]
    assert list(memory.launches_since(begin)) == [8, 15]
    # Nothing of it is after the buffer has come.
    later = memory.moment
    memory.allocate(LOGITS, np.array([1, 1]))
    assert list(memory.bytes_since(later)) == [1, 1]
    assert list(memory.launches_since(later)) == [1, 1]


def test_a_block_without_bytes_is_no_operation() -> None:
    """Such as a copy that only the CPU makes, in the same form told for a card."""
    memory = Timeline(2)
    memory.scratch(WORKSPACE, np.array([0, 8]))
    memory.allocate(LOGITS, np.array([4, 4]))
    assert list(memory.launches_since(0)) == [1, 2]
