"""Progress of a sweep on standard error: a live bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aabench.report.aligned_text import cut, one_line
from aabench.report.quantities import duration_text
from aabench.report.statuses import FAILED, MEASURED, status_style

LINE_EVERY_SHARE = 0.1
"""Without a terminal, a line is printed each time this share more is done,"""

LINE_EVERY_S = 30.0
"""and whenever something happens this long after the last line."""

REFRESHES_PER_SECOND = 4

MOST_PLACES = 16
"""Places whose work is shown; of more, how many there are."""


class SweepProgress:
    """Shows how far a sweep has come; use it in a ``with`` statement.

    Args:
        console: where to, usually standard error.
        total: cases to run, or rounds of cases.
        title: the sweep's name.
        clock: seconds that only grow; for tests.

    Attributes:
        done: how many have an outcome, whatever it is.
        failed: of these, how many were tried and failed.
        not_run: of these, how many could not be tried.
    """

    def __init__(
        self,
        console: Console,
        total: int,
        title: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._total = total
        self._title = one_line(title)
        self._clock = clock
        self._began = self._last_line = clock()
        self._running: dict[str, str] = {}
        self._last_failure: Text | None = None
        self._said = 0
        self.done = self.failed = self.not_run = 0
        self._live = self._new_live() if console.is_terminal else None

    def __enter__(self) -> Self:
        self._began = self._last_line = self._clock()
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, text: str, place: str = "") -> None:
        """Something began to run.

        Args:
            text: what, in a few words.
            place: where, if there are several places; one thing runs at each.
        """
        self._running[place] = one_line(text)
        self._say_if_due(f"  running {self._running[place]}{self._at(place)}")

    def finished(self, status: str, reason: str | None = None, place: str = "") -> None:
        """What ran last at a place has an outcome.

        Args:
            status: one of the statuses of the results.
            reason: why it is not ``ok``.
            place: where it ran.
        """
        self.done += 1
        if status in FAILED:
            self.failed += 1
            self._note_failure(status, reason or "", place)
        elif status not in MEASURED:
            self.not_run += 1
        self._say_if_due()

    def advanced(self, count: int) -> None:
        """So many more are done, all of them well."""
        self.done += count
        self._say_if_due()

    def left(self, place: str) -> None:
        """A place is gone, and what ran there is not done."""
        self._running.pop(place, None)

    def message(self, text: str) -> None:
        """Say something beside the progress itself, such as a worker that had to be restarted."""
        self._print(Text(one_line(text)))

    def view(self) -> RenderableType:
        """What a terminal shows at this moment."""
        bar = ProgressBar(total=max(self._total, 1), completed=self.done, width=None)
        head = Table.grid(padding=(0, 2), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        head.add_row(Text(self._title, style="bold"), bar, self._counts())
        lines: list[RenderableType] = [head]
        width = self._console.width
        for lead, text in self._running_lines():
            lines.append(Text(lead + cut(text, width - len(lead)), style="dim"))
        if self._last_failure is not None:
            failure = self._last_failure.copy()
            failure.truncate(width, overflow="ellipsis")
            lines.append(failure)
        return Group(*lines)

    def _running_lines(self) -> list[tuple[str, str]]:
        """What runs, and before it the place where there are several."""
        if len(self._running) < 2:
            return [("  running  ", text) for text in self._running.values()]
        widest = max(map(len, self._running))
        lines = [(f"  {name:<{widest}}  ", text) for name, text in sorted(self._running.items())]
        more = len(lines) - MOST_PLACES
        return lines if more <= 0 else [*lines[:MOST_PLACES], ("  ", f"and at {more} more places")]

    def _at(self, place: str) -> str:
        return f" on {place}" if len(self._running) > 1 else ""

    def _new_live(self) -> Live:
        return Live(
            console=self._console,
            get_renderable=self.view,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            # Results go to standard output; they must not be drawn into the bar's stream.
            redirect_stdout=False,
        )

    def _counts(self) -> Text:
        """Such as ``12/96  2 failed  3 not run  about 1 min 20 s left``, at the end ``in 2 min``."""
        parts = [Text(f"{self.done:,}/{self._total:,}")]
        if self.failed:
            parts.append(Text(f"{self.failed:,} failed", style="red"))
        if self.not_run:
            parts.append(Text(f"{self.not_run:,} not run", style="yellow"))
        elapsed = self._clock() - self._began
        remaining, tried = self._total - self.done, self.done - self.not_run
        if remaining <= 0:
            parts.append(Text(f"in {duration_text(elapsed)}"))
        elif tried:
            left = elapsed / tried * remaining
            parts.append(Text(f"about {duration_text(left)} left", style="cyan"))
        return Text("  ").join(parts)

    def _note_failure(self, status: str, reason: str, place: str) -> None:
        failure = Text(f"  {status}", style=status_style(status))
        what = self._running.get(place, "") + self._at(place)
        failure.append(f"  {what}: {one_line(reason)}".rstrip(": "))
        self._last_failure = failure
        if self._live is None:
            self._print(failure)

    def _say_if_due(self, doing: str = "") -> None:
        """Without a terminal: a line at every tenth, at the end, and after a long silence."""
        if self._live is not None:
            return
        now = self._clock()
        tenths = math.floor(self.done / max(self._total, 1) / LINE_EVERY_SHARE + 1e-9)
        if tenths <= self._said and now - self._last_line < LINE_EVERY_S:
            return
        self._said, self._last_line = max(tenths, self._said), now
        self._print(Text(f"{self._title}: ").append_text(self._counts()).append(doing))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)
