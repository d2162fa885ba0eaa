"""The flags that name a card which need not be here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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
        help="With --arch, an unlisted card: its memory, such as 12GiB.",
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

    Raises:
        UsageError: an unknown card, or flags that contradict each other.
    """
    from aabench.cases.card import chosen_card
    from aabench.cost.target import Target

    card = chosen_card(gpu, vram, arch)
    return None if card is None else Target.of_card(card)
