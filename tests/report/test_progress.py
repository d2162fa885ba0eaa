"""Progress: what a terminal shows, which lines a pipe gets, on an injected clock."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from aabench.report.progress import SweepProgress


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


def console(*, terminal: bool, width: int = 80) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, record=True
    )


def shown(progress: SweepProgress, where: Console) -> list[str]:
    with where.capture() as capture:
        where.print(progress.view())
    return [line.rstrip() for line in capture.get().splitlines()]


def text_of(where: Console) -> str:
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


def test_a_terminal_shows_the_bar_the_counts_and_what_is_running() -> None:
    clock, where = Clock(), console(terminal=True)
    progress = SweepProgress(where, 8, "quick", clock=clock)
    progress.started("materialized 28x28 Nh8 dk64 dv64 B8 train")
    first, second = shown(progress, where)
    assert first.startswith("quick  ") and first.endswith("  0/8")
    assert second == "  running  materialized 28x28 Nh8 dk64 dv64 B8 train"
    clock.forward(10)
    progress.finished("ok")
    first = shown(progress, where)[0]
    assert first.startswith("quick  ━") and first.endswith("1/8  about 1 min 10 s left")


def test_failures_are_counted_and_the_last_one_is_shown() -> None:
    clock, where = Clock(), console(terminal=True, width=60)
    progress = SweepProgress(where, 8, "quick", clock=clock)
    for status in ("ok", "skipped", "oom"):
        progress.started("materialized 56x56")
        clock.forward(3)
        progress.finished(status, None if status == "ok" else "needs [b]6 GiB[/b]\x1b[31m\nof 4")
    lines = shown(progress, where)
    assert lines[0].endswith("3/8  1 failed  1 not run  about 22 s left")
    assert lines[2] == "  oom  materialized 56x56: needs [b]6 GiB[/b] of 4"
    assert (progress.done, progress.failed, progress.not_run) == (3, 1, 1)


def test_no_line_is_wider_than_the_terminal() -> None:
    where = console(terminal=True, width=60)
    progress = SweepProgress(where, 8, "quick", clock=Clock())
    progress.started("materialized " * 20)
    progress.finished("crashed", "RuntimeError " * 20)
    assert max(map(len, shown(progress, where))) <= 60


def test_the_bar_leaves_nothing_behind_and_messages_stay() -> None:
    where = console(terminal=True)
    with SweepProgress(where, 2, "quick", clock=Clock()) as progress:
        progress.message("the worker was restarted")
        progress.finished("ok")
    assert "the worker was restarted" in text_of(where)
    assert text_of(where).endswith("\x1b[2K")  # the line of the bar is erased
    assert "\x1b[?25h" in text_of(where)  # and the cursor is back


def test_an_exception_ends_the_bar_and_goes_on() -> None:
    where = console(terminal=True)
    with (
        pytest.raises(KeyboardInterrupt),
        SweepProgress(where, 2, "quick", clock=Clock()),
    ):
        raise KeyboardInterrupt
    assert "\x1b[?25h" in text_of(where)


def test_standard_output_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    where = console(terminal=True)
    with SweepProgress(where, 2, "quick", clock=Clock()):
        sys.stdout.write("a result")
    assert capsys.readouterr().out == "a result"
    assert "a result" not in text_of(where)


def test_a_pipe_gets_a_line_at_every_tenth() -> None:
    clock, where = Clock(), console(terminal=False)
    with SweepProgress(where, 200, "quick", clock=clock) as progress:
        for _ in range(200):
            progress.started("sdpa-bias 14x14")
            clock.forward(0.1)
            progress.finished("ok")
    lines = text_of(where).splitlines()
    assert len(lines) == 10
    assert lines[0] == "quick: 20/200  about 18 s left"
    assert lines[-1] == "quick: 200/200  in 20 s"
    assert "\x1b" not in text_of(where)


def test_a_pipe_gets_a_line_after_a_long_silence() -> None:
    clock, where = Clock(), console(terminal=False)
    with SweepProgress(where, 100, "quick", clock=clock) as progress:
        progress.started("first")
        clock.forward(29)
        progress.finished("ok")
        assert text_of(where) == ""
        clock.forward(2)
        progress.started("second")
    assert text_of(where) == "quick: 1/100  about 51 min 9 s left  running second\n"


def test_a_pipe_gets_every_failure_in_one_line() -> None:
    where = console(terminal=False, width=40)
    with SweepProgress(where, 100, "quick", clock=Clock()) as progress:
        for status in ("oom", "invalid", "crashed"):
            progress.started("materialized 112x112 Nh8 dk64 dv64 B8 train")
            progress.finished(status, "needs more memory than there is")
    lines = text_of(where).splitlines()
    assert [line.split()[0] for line in lines] == ["oom", "crashed"]
    assert lines[0].endswith("B8 train: needs more memory than there is")


def test_nothing_to_do_is_no_division_by_zero() -> None:
    where = console(terminal=True)
    progress = SweepProgress(where, 0, "quick", clock=Clock())
    assert shown(progress, where)[0].endswith("0/0  in 0 s")


def test_several_places_have_a_line_each_until_they_are_lost() -> None:
    where = console(terminal=True, width=60)
    progress = SweepProgress(where, 8, "quick", clock=Clock())
    progress.started("factored 28x28 Nh8", "node-2/cuda:0")
    progress.started("blocked 14x14 Nh8", "node-1/cuda:11")
    assert shown(progress, where)[1:] == [
        "  node-1/cuda:11  blocked 14x14 Nh8",
        "  node-2/cuda:0   factored 28x28 Nh8",
    ]
    progress.finished("oom", "too large", "node-2/cuda:0")
    assert shown(progress, where)[3] == "  oom  factored 28x28 Nh8 on node-2/cuda:0: too large"
    progress.left("node-2/cuda:0")
    assert shown(progress, where)[1] == "  running  blocked 14x14 Nh8"


def test_more_places_than_a_terminal_has_lines_for_are_counted() -> None:
    where = console(terminal=True)
    progress = SweepProgress(where, 80, "quick", clock=Clock())
    for number in range(20):
        progress.started("blocked 14x14", f"cuda:{number:02}")
    lines = shown(progress, where)
    assert len(lines) == 1 + 16 + 1
    assert lines[-1] == "  and at 4 more places"


def test_rows_that_come_by_the_thousand_are_counted_together() -> None:
    clock, where = Clock(), console(terminal=False)
    with SweepProgress(where, 4000, "quick", clock=clock) as progress:
        for _ in range(4):
            clock.forward(1)
            progress.advanced(1000)
    lines = text_of(where).splitlines()
    assert lines[0] == "quick: 1,000/4,000  about 3 s left"
    assert lines[-1] == "quick: 4,000/4,000  in 4 s"
