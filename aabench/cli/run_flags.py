"""The flags that say where and how long a sweep measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

LOCAL = "local"
"""The address of a Ray cluster that is started for one sweep."""

PANEL = "Run"


class SweepCommand(TyperCommand):
    """A command whose ``--ray`` may go without its address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command line."""
        return super().parse_args(ctx, with_address(args))


def with_address(words: Sequence[str]) -> list[str]:
    """The words with ``local`` after a ``--ray`` that no address follows."""
    complete: list[str] = []
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        complete.append(word)
        if word == "--ray" and following.startswith("-"):
            complete.append(LOCAL)
    return complete


Device = Annotated[
    str | None,
    typer.Option(
        help="auto, cpu, cuda, cuda:N, cuda:0,cuda:2, or all cards, each with a worker of its own. "
        "(default: auto)",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="Run on a Ray cluster: host:port, ray://host:port, auto (the one running here); without "
        "an address, one of this machine alone, for this sweep. Needs the extra ray of aabench.",
        metavar="[ADDRESS]",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
SecondsPerCase = Annotated[
    float | None,
    typer.Option(
        help="Sampling time of a case in seconds, shared by the rounds. (default: 1.5 on the CPU, "
        "3 on CUDA)",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Rounds = Annotated[
    int | None,
    typer.Option(
        help="Passes over the shuffled cases. (default: 2)",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds after which one round of a case is given up. (default: 600)",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Of the order and the inputs. (default: 0)",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Isolate = Annotated[
    bool,
    typer.Option("--isolate", help="A fresh process for every case.", rich_help_panel=PANEL),
]
MinKeyDepthPerHead = Annotated[
    int | None,
    typer.Option(
        help="Floor on dk / heads when dk comes from kappa. (default: 0; published networks: 20)",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
