"""Following bytes through traces written by hand and generated."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.measuring.allocation_trace import AllocationEvent, Level, level_of


def trace(*steps):
    """Events one nanosecond apart from (address, size) pairs."""
    return [AllocationEvent(time, address, size) for time, (address, size) in enumerate(steps)]


def test_an_empty_trace():
    assert level_of([]) == Level(0, 0)


def test_blocks_overlap_and_end():
    events = trace((1, 100), (2, 50), (1, -100), (3, 70), (2, -50))
    assert level_of(events) == Level(150, 70)


def test_events_are_put_in_order_of_time():
    events = trace((1, 100), (1, -100), (2, 60), (2, -60))
    assert level_of(reversed(events)) == Level(100, 0)


def test_a_block_from_before_the_trace_changes_nothing():
    events = trace((9, -4096), (1, 10), (8, -1))
    assert level_of(events) == Level(10, 10)


def test_a_missed_freeing_is_noticed_when_the_address_comes_again():
    events = trace((1, 100), (1, 30), (1, -30))
    assert level_of(events) == Level(100, 0)


def test_a_block_is_taken_back_at_the_size_it_was_handed_out():
    # the allocator remembers another size for an address that it was not listened to about
    events = trace((1, 100), (1, -7), (2, 20))
    assert level_of(events) == Level(100, 20)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 1000)), max_size=40))
@settings(deadline=None, max_examples=60)
def test_level_equals_a_simulation(blocks):
    alive, steps, peak = {}, [], 0
    for address, size in blocks:
        if address in alive:
            steps.append((address, -alive.pop(address)))
        else:
            alive[address] = size
            steps.append((address, size))
        peak = max(peak, sum(alive.values()))
    assert level_of(trace(*steps)) == Level(peak, sum(alive.values()))
