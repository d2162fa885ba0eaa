"""The console on standard error: progress and remarks, for as long as anybody reads them."""

from __future__ import annotations

import sys

from rich.console import Console


class _PatientConsole(Console):
    """A console that falls silent when its reader goes; rich's own would end the process."""

    def on_broken_pipe(self) -> None:
        """Say no more: what is being measured matters more than who watches it."""
        self.quiet = True


def error_console() -> Console:
    """A console on standard error, which a command outlives if it is a pipe that is closed."""
    return _PatientConsole(file=sys.stderr)
