"""Warm-up blocks: when they end, and what they say."""

import pytest

from aabench.measuring.clock import ClockError
from aabench.measuring.warm_up import warm_up


class Blocks:
    """Times calls by a rule over the number of the call, and remembers the blocks asked for."""

    def __init__(self, seconds):
        self.seconds, self.calls, self.sizes = seconds, 0, []

    def __call__(self, count):
        self.sizes.append(count)
        self.calls += count
        return [self.seconds(call) for call in range(self.calls - count, self.calls)]


def test_a_steady_short_step_is_warm_after_25_ms():
    blocks = Blocks(lambda _: 1e-3)
    warm = warm_up(blocks)
    assert blocks.sizes == [1, 25]
    assert (warm.calls, warm.step_s, warm.settled) == (26, 1e-3, True)


def test_it_never_ends_before_25_ms():
    blocks = Blocks(lambda call: 1e-3 if call == 0 else 0.955e-3)  # 24.9 ms after two blocks
    warm_up(blocks)
    assert blocks.sizes == [1, 25, 27]


def test_a_long_step_is_a_block_by_itself():
    blocks = Blocks(lambda _: 0.3)
    assert warm_up(blocks).calls == 2
    assert blocks.sizes == [1, 1]


def test_it_goes_on_until_two_medians_agree():
    blocks = Blocks(lambda call: 0.05 * 0.9**call + 0.03)
    warm = warm_up(blocks)
    times = [blocks.seconds(call) for call in range(warm.calls)]
    assert abs(times[-1] - times[-2]) < 0.05 * times[-2]
    assert abs(times[-2] - times[-3]) >= 0.05 * times[-3]


def test_a_step_that_never_settles_ends_at_the_cap():
    blocks = Blocks(lambda call: 0.1 if call % 2 else 0.2)
    warm = warm_up(blocks, cap_s=2.0)
    assert not warm.settled
    total = sum(blocks.seconds(call) for call in range(warm.calls))
    assert 2.0 <= total < 2.0 + 0.2


def test_one_block_beyond_the_cap_is_the_last():
    assert warm_up(Blocks(lambda _: 9.0), cap_s=0.3).calls == 1


def test_a_single_interruption_does_not_decide():
    blocks = Blocks(lambda call: 1.0 if call == 7 else 1e-3)  # within the 25 calls of one block
    warm = warm_up(blocks)
    assert warm.settled and warm.step_s == 1e-3


def test_a_dead_clock_is_an_error():
    with pytest.raises(ClockError):
        warm_up(Blocks(lambda _: 0.0))
