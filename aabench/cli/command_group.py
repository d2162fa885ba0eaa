"""The commands as one group: how any of them ends that is interrupted, unheard or given a wrong value."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from aabench.cli.refused_value import refusal_text
from aabench.errors import EXIT_INTERRUPTED, EXIT_UNHEARD, RunError


class CommandGroup(TyperGroup):
    """Commands that all end in the same way where they do not come to their own end.

    Typer would end them without a word after Ctrl-C, with exit code 1 where nobody reads on, which
    stands for a run that could not go on, and in the words of the library that checks its values.
    """

    def make_context(self, *words: Any, **options: Any) -> Any:
        """Parse the options before the command."""
        with _ended():
            return super().make_context(*words, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is asked for, until all that it has to say is out."""
        with _ended():
            try:
                result = super().invoke(ctx)
            except typer.Exit:
                sys.stdout.flush()
                raise
            sys.stdout.flush()
            return result


@contextmanager
def _ended() -> Iterator[None]:
    """Say in our own words what ended a command.

    A command that is interrupted adds a note to the ``KeyboardInterrupt`` on what is kept.

    Raises:
        Exit: interrupted, or unheard.
        BadParameter: as Typer raised it, in other words.
        RunError: a pipe broke that is neither standard output nor standard error.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        lead = "\n" if sys.stderr.isatty() else ""  # below the ^C that a terminal shows
        print(f"{lead}aabench: {_interrupted_text(stop)}", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError as error:
        if all(map(_is_read, (sys.stdout, sys.stderr))):
            raise RunError("a pipe to another process of this run broke") from error
        flush_streams()
        raise typer.Exit(EXIT_UNHEARD) from None
    except typer.BadParameter as error:
        error.message = refusal_text(error)
        raise


def _interrupted_text(stop: KeyboardInterrupt) -> str:
    return "; ".join(["interrupted", *getattr(stop, "__notes__", ())])


def _is_read(stream: TextIO) -> bool:
    """Whether what is written to a stream can still arrive; so it can where it is no pipe."""
    polled = select.poll()
    polled.register(stream.fileno(), 0)  # errors are reported unasked
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in polled.poll(0))


def flush_streams() -> None:
    """Write out what is pending; what nobody reads any more goes nowhere.

    As Python's documentation of SIGPIPE advises: the signal's own action would end the process at
    any broken connection, such as one to a worker, and Python flushes both streams when it ends.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
