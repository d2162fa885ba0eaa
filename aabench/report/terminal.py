"""Printing to a text stream that may be a terminal, a pipe or a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

from rich.console import Console, RenderableType

PIPE_WIDTH = 160
"""Width of what goes into a file or a pipe, unless the environment says ``COLUMNS``."""

_SUBSTITUTES = str.maketrans("×–—±─→…µ█", "x--~->.u#")
"""What stands for a symbol on a terminal that has no such letter, one for one."""


class _RaisingConsole(Console):
    """A console that says when its reader has gone; rich's own would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise again the ``BrokenPipeError`` that is being handled."""
        raise  # noqa: PLE0704  rich calls this from its except clause


def print_to(
    stream: IO[str], render: Callable[[int], RenderableType], *, width: int | None = None
) -> None:
    """Print what ``render`` makes for the width of a stream, in terminal cells.

    Colours only on a terminal. Symbols that the stream's encoding lacks are replaced one for one,
    so that columns stay aligned.

    Raises:
        BrokenPipeError: nobody reads the stream any more.
    """
    console = _RaisingConsole(file=stream, width=width)
    if width is None:
        is_told = console.is_terminal or "COLUMNS" in os.environ
        width = console.width if is_told else PIPE_WIDTH
        console = _RaisingConsole(file=stream, width=width)
    with console.capture() as capture:
        console.print(render(width), soft_wrap=True)
    stream.write(_printable(capture.get(), getattr(stream, "encoding", None) or "utf-8"))


def _printable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_SUBSTITUTES).encode(encoding, "replace").decode(encoding)
    return text
