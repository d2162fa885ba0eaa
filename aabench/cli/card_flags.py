"""The flags that name a card which need not be here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aabench.cases.card import Card
    from aabench.cost.target import Target

PANEL = "Prediction"

Gpu = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        help="Predict for this card: a name of aabench list gpus, or a TOML file.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Vram = Annotated[
    str | None,
    typer.Option(
        "--vram",
        help="With --arch, an unlisted card: its memory, such as 12GiB. Bytes are predicted, no times.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Arch = Annotated[
    str | None,
    typer.Option(
        "--arch",
        help="With --vram, an unlisted card: its architecture, such as sm89.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]


def card_target(gpu: str | None, vram: str | None, arch: str | None) -> Target | None:
    """The card that the flags name as a target; None if they name none.

    Where no times can be predicted for it, standard error says so.

    Raises:
        UsageError: an unknown card, or flags that contradict each other.
    """
    from aabench.cost.target import Target

    card = named_card(gpu, vram, arch)
    return None if card is None else Target.of_card(card)


def named_card(gpu: str | None, vram: str | None, arch: str | None) -> Card | None:
    """The card that the flags name, as ``card_target`` finds it."""
    from aabench.cases.card import chosen_card

    card = chosen_card(gpu, vram, arch)
    if card is not None and card.ceilings() is None:
        print(
            f"aabench: no times for {card.name}: its bandwidth and rates are not known; write a card "
            "file with name, compute_capability, memory, bandwidth_bytes_per_s and the table "
            "[rates_flops_per_s], and give --gpu ./my-card.toml in place of --vram and --arch",
            file=sys.stderr,
        )
    return card
